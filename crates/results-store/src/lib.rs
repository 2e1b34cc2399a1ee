//! Where analysis results are kept: the ResultsStore trait with memory and SQLite back ends.
