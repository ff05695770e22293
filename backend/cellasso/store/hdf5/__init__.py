"""HDF5: the open file, its chunks read and written past h5py's lock, new objects made like stored ones."""
