/*
 * How much memory this process has held at most.
 */
#ifndef PEAK_H
#define PEAK_H

#include <stdint.h>

/* Bytes of VmHWM; 0 where /proc does not tell.  Any thread; takes no heap memory.  (getrusage's
 * figure would begin with that of the process that forked this one.) */
int64_t peak_bytes(void);

/* Bytes of RssFile now: pages of programs and libraries, which grow with every function called
 * first and which the system may drop.  As above otherwise. */
int64_t library_bytes(void);

#endif
