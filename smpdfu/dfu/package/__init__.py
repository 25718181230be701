"""dfu_application.zip: its images, its manifest, and merged hex files as their source."""
