"""Read and write the file formats of the data packages."""
