"""Updates where the upload replaces the application: firmware loader and serial recovery."""
