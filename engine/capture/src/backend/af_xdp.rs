//! AF_XDP: rings of our own over one memory area per segment.
