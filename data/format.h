/*
 * What source.c needs of a data format: one row of its table is one of these.  Private to data/.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include "data/source.h"

#include <jansson.h>

/* Enough for every role of a file ("images", "labels"). */
enum { FORMAT_FILES_MAX = 4 };

struct format_file {
    const char *role;
    const char *path;
};

struct source_format {
    const char *name;
    /* Reads headers; fills *info and *state_out, which ends with close.  *role_out says of which
     * file an error is; it stays as it is where it is of none. */
    enum cam_code (*open)(const struct data_spec *spec, void **state_out, struct source_info *info,
                          const char **role_out, struct cam_err *err);
    /* As source_share and source_preload after it; NULL where a process holds nothing that is worth
     * sharing. */
    enum cam_code (*share)(void *state, const char *folder, struct cam_err *err);
    enum cam_code (*preload)(void *state, struct cam_err *err);
    enum cam_code (*load)(void *state, struct cam_err *err);
    const char *load_role; /* of the file that load reads, or NULL */
    /* index is in range. */
    void (*read)(const void *state, int64_t index, float *values, float *labels);
    void (*close)(void *state);
    /* The files that a spec names; returns how many. */
    int (*files)(const struct data_spec *spec, struct format_file out[FORMAT_FILES_MAX]);
    /* What identifies the data beside the files, as a new JSON object; NULL when memory is short.
     */
    json_t *(*describe)(const struct data_spec *spec);
    /* As source_vocabulary, as a new object; NULL where there is none. */
    json_t *(*vocabulary)(const void *state);
};

extern const struct source_format IDX_FORMAT;
extern const struct source_format GLYPHS_FORMAT;
extern const struct source_format TEXT_FORMAT;
extern const struct source_format GAUSSIANS_FORMAT;

/* A byte of a grey or colour value as the float that networks see: 0 is -1, 255 is 1. */
float format_pixel(uint8_t value);

#endif
