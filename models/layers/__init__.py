"""Parts that several architectures are built from: dropout, padding, initialisation and recurrent cells."""
