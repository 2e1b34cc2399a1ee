//! One question, one result: the whole Meterbox pipeline, embeddable, without HTTP.
