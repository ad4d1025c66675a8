set(LOG_READER_SOURCES log/log_reader/chunk_walker.cc log/log_reader/witness_checker.cc log/log_reader.cc)
set(LOG_SOURCES log/log_writer.cc log/record_builder.cc)
