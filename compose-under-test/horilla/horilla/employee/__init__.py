"""Employees, their avatars and their documents."""
