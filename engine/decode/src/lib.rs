//! Streams and datagrams into events.
