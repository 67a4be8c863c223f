/*
 * A data source: samples by index.  source_open reads headers only (fast enough for a submit);
 * source_load brings what random access needs (inflates a gzipped set, after source_share once a
 * host); source_read decodes one sample.  After source_load any number of threads may call
 * source_read.
 *
 * Adding a format is one row in source.c's table and one file.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "base/digest.h"
#include "base/status.h"
#include "proto/jobfile.h"

#include <stdbool.h>
#include <stdint.h>

struct source;

/* What the headers say. */
struct source_info {
    int64_t count;            /* samples to train on */
    int64_t validation_count; /* samples to judge by */
    int64_t height;           /* pixels */
    int64_t width;            /* pixels */
    int64_t channels;
    int64_t classes; /* of labels, or tokens of the vocabulary; 0: no labels */
    int64_t length;  /* of text: tokens a sample, and then no height, width, channels; 0: images */
    int64_t set_bytes; /* that source_load holds in memory */
};

/* Floats of a sample: an image, or the tokens of a window; and of its labels: its class, or the
 * token that follows each. */
static inline int64_t source_value_floats(const struct source_info *info)
{
    return info->length > 0 ? info->length : info->height * info->width * info->channels;
}

static inline int64_t source_label_floats(const struct source_info *info)
{
    return info->length > 0 ? info->length : 1;
}

/* Opens and checks headers; errors name the file, what was found and what is allowed. */
CAM_CHECKED enum cam_code source_open(const struct data_spec *spec, struct source **out,
                                      struct cam_err *err);

/* As source_open, of a job's data: an error of a file begins with "FILE:LINE: " of the key that
 * names the file, and keeps its code. */
CAM_CHECKED enum cam_code source_open_job(const struct job_file *job, struct source **out,
                                          struct cam_err *err);
void source_close(struct source *source);

const struct source_info *source_info(const struct source *source);

/* Before source_load: what it brings may stand in this folder, once for all processes of this host
 * that name it; a private folder in memory, else every process has its own copy.  CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code source_share(struct source *source, const char *folder,
                                       struct cam_err *err);

/* Makes every sample readable; CAM_CORRUPT names a truncated or damaged file. */
CAM_CHECKED enum cam_code source_load(struct source *source, struct cam_err *err);

/* As source_load; an error of a file begins as in source_open_job. */
CAM_CHECKED enum cam_code source_load_job(struct source *source, const struct job_file *job,
                                          struct cam_err *err);

/* Brings what source_load of other processes will find in the folder of source_share; this one
 * can only be closed.  CAM_UNSUPPORTED: nothing of it can be shared; else as source_load. */
CAM_CHECKED enum cam_code source_preload(struct source *source, const char *folder,
                                         struct cam_err *err);

/* Sample `index` into values: an image (H,W,C) in [-1, 1], a point
 * (1,1,2), or tokens (T); its class (or -1), or the
 * tokens that follow, into labels.  Samples to judge by stand behind the `count` to train on. */
CAM_CHECKED enum cam_code source_read(const struct source *source, int64_t index, float *values,
                                      float *labels, struct cam_err *err);

/* What tokens mean, as JSON ({"kind":"characters","tokens":["\n"," ","a",…]}, a token's index is
 * its number), which ends with cam_free; NULL where samples are not text. */
CAM_CHECKED enum cam_code source_vocabulary(const struct source *source, char **json_out,
                                            struct cam_err *err);

/* One line of JSON that identifies the data: for each file its path, size, mtime and, with
 * whole, the digest of its bytes.  Equal text = same data.  Ends with cam_free. */
CAM_CHECKED enum cam_code source_identity(const struct data_spec *spec, bool whole, char **json_out,
                                          struct cam_err *err);

#endif
