"""Headers of everything that the console answers."""

from typing import Final

SECURITY: Final = {
    # Scripts, styles and data from this gateway alone; no inline code, no frame, no form that leaves the page.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

PRIVATE: Final = SECURITY | {"Cache-Control": "no-store"}
"""Of answers with data: dead letters hold what platforms sent about people."""
