"""Getting datasets and checking them: where they come from, downloads, archives, and manifests of files."""
