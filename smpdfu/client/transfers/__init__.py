"""Uploads of images, and files in both directions, over an open link."""
