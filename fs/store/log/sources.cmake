set(LOG_SOURCES log/log_reader.cc log/log_writer.cc log/record_builder.cc)
