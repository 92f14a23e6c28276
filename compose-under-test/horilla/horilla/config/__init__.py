"""The site: settings, routes, and the WSGI application."""
