//! One native matcher for the literals and regexes of all plugins.
