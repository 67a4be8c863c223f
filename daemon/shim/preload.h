/*
 * The data of an attempt, brought into its private folder while mpirun starts: a host's cores have
 * little to do until the ranks are there, and an inflated set is what they would wait for.
 *
 * A child of the shim does it, without an exec.  What goes wrong in it is nobody's loss: a rank
 * that finds nothing brings the data itself and has the words for what is wrong with them.
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#include "proto/attempt.h"

/* Returns at once.  The child dies with its parent, holds the attempt's `alive` lock while it
 * lives, and is reaped as any other child. */
void preload_start(const char *job_dir, const struct attempt_order *order);

#endif
