"""What has neither biology nor HDF5 in it: errors, passes over blocks, compiled loops, files written whole, caches."""
