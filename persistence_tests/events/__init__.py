"""Events: what is done to the stack between writing and verifying. One module a kind, one line here."""

from persistence_tests.events.backup_restore import BackupRestore
from persistence_tests.events.base import Event
from persistence_tests.events.crash import Crash
from persistence_tests.events.deploy import Deploy
from persistence_tests.events.disk_error import DiskError
from persistence_tests.events.disk_full import DiskFull
from persistence_tests.events.disk_read_only import DiskReadOnly
from persistence_tests.events.engine_loss import EngineKill, EngineRestart
from persistence_tests.events.host_loss import HostCrash, Reboot
from persistence_tests.events.host_power_loss import HostPowerLoss
from persistence_tests.events.image_upgrade import ImageUpgrade
from persistence_tests.events.kill import Kill
from persistence_tests.events.pause import Pause
from persistence_tests.events.power_loss import PowerLoss
from persistence_tests.events.prune import Prune
from persistence_tests.events.rebuild import Rebuild
from persistence_tests.events.recreate import DownUp, Recreate
from persistence_tests.events.rename_project import RenameProject
from persistence_tests.events.renew_anon import RenewAnon
from persistence_tests.events.restart import Restart, StopStart
from persistence_tests.events.run_once import RunOnce
from persistence_tests.events.scale import Scale
from persistence_tests.events.up import Up
from persistence_tests.events.up_changed import UpChanged
from persistence_tests.events.volumes import DownVolumes, VolumeRecreate

EVENTS: dict[str, type[Event]] = {
    kind.name: kind
    for kind in (
        Up, Restart, StopStart, Kill, Crash, Pause,
        Recreate, RenewAnon, DownUp, Rebuild, Scale, RunOnce,
        ImageUpgrade, UpChanged, Deploy, RenameProject,
        DownVolumes, VolumeRecreate, BackupRestore,
        PowerLoss, DiskFull, DiskReadOnly, DiskError,
        EngineRestart, EngineKill, Reboot, HostCrash, HostPowerLoss, Prune,
    )
}  # fmt: skip
