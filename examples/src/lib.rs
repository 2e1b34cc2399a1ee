//! What the examples share; the examples themselves lie beside this folder.
