/*
 * A copy of all trained tensors and the optimizer's states, so that they can be written while
 * training goes on; and the way back from files.  Rank 0 only; one thread at a time.
 *
 * Tensors stand in the arena's order and layout until snapshot_export, which permutes each in
 * place to PyTorch's layout; files are written from and read into that form.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "base/digest.h"
#include "base/status.h"
#include "model/recipes/training.h"

#include <stdbool.h>
#include <stdint.h>

struct snapshot {
    const struct training *training;
    const char *vocabulary; /* JSON (data/source.h), or NULL; not the snapshot's own */
    float *parameters; /* parameter_floats */
    float *buffers;    /* buffer_floats */
    float **state;     /* by phase and state, a part's floats each; state_count */
    int state_count;
    float *permuted; /* room for the largest tensor */
    int64_t bytes;
};

/* The memory of a snapshot.  CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code snapshot_create(const struct training *training, struct snapshot **out,
                                          struct cam_err *err);
void snapshot_destroy(struct snapshot *snapshot);

/* Exchanges a part's weights with their average, where the training has one (not exported yet):
 * what draws samples sees the average in between two calls. */
void snapshot_swap_average(struct snapshot *snapshot);

/* Permutes every tensor (with_state: the optimizer's too) to the file's layout.  CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code snapshot_export(struct snapshot *snapshot, bool with_state,
                                          struct cam_err *err);

/* Writes an exported snapshot and gives the digest of its tensors.  safetensors_write's errors. */
CAM_CHECKED enum cam_code snapshot_write_model(const struct snapshot *snapshot, const char *path,
                                               char digest_out[CAM_DIGEST_HEX_SIZE],
                                               struct cam_err *err);
CAM_CHECKED enum cam_code snapshot_write_optimizer(const struct snapshot *snapshot,
                                                   const char *path,
                                                   char digest_out[CAM_DIGEST_HEX_SIZE],
                                                   struct cam_err *err);

/* FOLDER/vocabulary.json, where there is one: what the model's tokens mean.  It is also in the
 * metadata of model.safetensors, so that neither is lost without the other. */
CAM_CHECKED enum cam_code snapshot_write_vocabulary(const struct snapshot *snapshot,
                                                    const char *folder, struct cam_err *err);

/* Reads a file whose digest must be `digest` into the arena's layout (no snapshot_export).
 * CAM_CORRUPT names the file and what differs. */
CAM_CHECKED enum cam_code snapshot_read_model(struct snapshot *snapshot, const char *path,
                                              const char *digest, struct cam_err *err);
CAM_CHECKED enum cam_code snapshot_read_optimizer(struct snapshot *snapshot, const char *path,
                                                  const char *digest, struct cam_err *err);

#endif
