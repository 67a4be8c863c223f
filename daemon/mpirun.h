/*
 * mpirun's command line, whose words differ between the major versions of Open MPI: one row of a
 * table each, so that everything of an attempt lies in its private folder with every one of them.
 */
#ifndef MPIRUN_H
#define MPIRUN_H

#include "base/file.h"
#include "base/status.h"

#include <stddef.h>

enum { MPIRUN_WORDS_MAX = 48 };

struct mpirun {
    char path[CAM_PATH_SIZE];
    int major; /* of Open MPI */
};

/* Asks the program at path for its version; blocks some milliseconds, at most 10 s.  The
 * environment has to hold HOME: Open MPI 5 does not even tell its version without.
 * CAM_UNSUPPORTED: not Open MPI, or one before 4. */
CAM_CHECKED enum cam_code mpirun_examine(const char *path, struct mpirun *out, struct cam_err *err);

/* The major version in the first line of `mpirun --version`, or 0. */
int mpirun_major(const char *text);

/* The words up to the program that the ranks run; ranks is a number in words.  All are the
 * caller's or constants.  scratch: the attempt's private folder.  Ranks of root need
 * --allow-run-as-root after them. */
size_t mpirun_words(const struct mpirun *mpirun, const char *ranks, const char *scratch,
                    const char *words[MPIRUN_WORDS_MAX]);

#endif
