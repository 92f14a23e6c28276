"""Avatars: an SVG of the initials, drawn here, so that no name is told to anybody."""

import zlib
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import escape
from django.views.decorators.http import require_safe

MAX_INITIALS = 2
CACHE_SECONDS = 7 * 24 * 3600

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128" viewBox="0 0 128 128" role="img">
<title>{initials}</title><rect width="128" height="128" rx="16" fill="hsl({hue},45%,38%)"/>
<text x="64" y="84" text-anchor="middle" font-family="sans-serif" font-size="56" fill="#fff">{initials}</text>
</svg>
"""


def initials_of(name: str) -> str:
    """The first letters of the first and the last word; `?` for a name without any."""
    letters = [next((c for c in word if c.isalnum()), "") for word in name.replace("_", " ").split()]
    found = [letter.upper()[:1] for letter in letters if letter]
    return "".join(found if len(found) < MAX_INITIALS else [found[0], found[-1]]) or "?"


def avatar_url(name: str) -> str:
    """The address of the avatar of `name`; its colour tells apart names with the same initials."""
    hue = zlib.crc32(name.encode()) % 360
    return f"{reverse('avatar', args=[initials_of(name)])}?{urlencode({'hue': hue})}"


@login_not_required
@require_safe
def avatar(request: HttpRequest, initials: str) -> HttpResponse:
    """GET /avatar/INITIALS.svg?hue=0…359."""
    hue = request.GET.get("hue", "")
    drawn = SVG.format(
        initials=escape(initials[:MAX_INITIALS]),
        hue=int(hue) % 360 if hue.isascii() and hue.isdecimal() and len(hue) <= 3 else 0,
    )
    answer = HttpResponse(drawn, content_type="image/svg+xml")
    answer["Cache-Control"] = f"public, max-age={CACHE_SECONDS}"
    answer["Content-Security-Policy"] = "default-src 'none'"
    return answer
