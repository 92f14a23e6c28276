#!/bin/sh
# As MariaDB's own image does it: all of the directory belongs to mysql, then the server is started as mysql.
set -eu
find /var/lib/mysql ! -user mysql -exec chown mysql: {} +
install -d -o mysql /run/mysqld
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --user=mysql --skip-test-db >/dev/null
fi
exec mariadbd --user=mysql --bind-address=0.0.0.0
