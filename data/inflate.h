/*
 * A whole gzipped file into memory in one go: two to three times as fast as a stream is read.
 * Private to data/.
 */
#ifndef INFLATE_H
#define INFLATE_H

#include <stdbool.h>
#include <stddef.h>

/* True: the file is gzip of one or more members, whose bytes are exactly size, now in bytes, and
 * every checksum is right.  False: anything else, be it damage or too little memory for the file
 * beside its bytes; reading it as a stream finds out, and has the words for it. */
bool inflate_file(const char *path, void *bytes, size_t size);

#endif
