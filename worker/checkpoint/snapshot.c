#include "worker/checkpoint/snapshot.h"

#include "base/file.h"
#include "base/mem.h"
#include "proto/safetensors.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 256 };

/* One tensor of a file: where it stands in the snapshot and how it is laid out. */
struct item {
    const struct tensor_info *info;
    float *floats;
    const char *suffix; /* of the optimizer's states: "exp_avg"; NULL: none */
    bool average;       /* named after its part and "_ema" */
    bool copy;          /* another item's floats: written, but neither permuted nor read */
};

/* All tensors of one file, in no particular order. */
struct items {
    struct item *item;
    size_t count;
};

static int state_index(const struct training *training, int phase, int state)
{
    int index = state;
    for (int i = 0; i < phase; i++) {
        index += training_own_states(training, i);
    }
    return index;
}

enum cam_code snapshot_create(const struct training *training, struct snapshot **out,
                              struct cam_err *err)
{
    struct snapshot *s = cam_alloc(1, sizeof *s);
    if (s == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the checkpoint's memory: out of memory");
    }
    int64_t largest = 1;
    for (int i = 0; i < training->parameter_count; i++) {
        int64_t floats = shape_count(&training->parameters[i].shape);
        largest = floats > largest ? floats : largest;
    }
    for (int i = 0; i < training->buffer_count; i++) {
        int64_t floats = shape_count(&training->buffers[i].shape);
        largest = floats > largest ? floats : largest;
    }
    s->training = training;
    s->state_count = state_index(training, training->phase_count, 0);
    s->parameters = cam_alloc_aligned((size_t)training->parameter_floats * sizeof(float));
    s->buffers = cam_alloc_aligned((size_t)training->buffer_floats * sizeof(float));
    s->permuted = cam_alloc_aligned((size_t)largest * sizeof(float));
    s->state = cam_alloc((size_t)s->state_count + 1, sizeof *s->state);
    s->bytes =
        (training->parameter_floats + training->buffer_floats + largest) * (int64_t)sizeof(float);
    bool taken =
        s->parameters != NULL && s->buffers != NULL && s->permuted != NULL && s->state != NULL;
    for (int p = 0; taken && p < training->phase_count; p++) {
        size_t bytes = (size_t)training->parts[training->phases[p].part].block_count *
                       BLOCK_FLOATS * sizeof(float);
        for (int k = 0; taken && k < training_own_states(training, p); k++) {
            float *state = cam_alloc_aligned(bytes);
            s->state[state_index(training, p, k)] = state;
            s->bytes += (int64_t)bytes;
            taken = state != NULL;
        }
    }
    if (!taken) {
        snapshot_destroy(s);
        return cam_fail(err, CAM_NO_MEMORY, "the checkpoint's memory: out of memory");
    }
    *out = s;
    return CAM_OK;
}

void snapshot_destroy(struct snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    for (int i = 0; snapshot->state != NULL && i < snapshot->state_count; i++) {
        cam_free(snapshot->state[i]);
    }
    cam_free(snapshot->state);
    cam_free(snapshot->parameters);
    cam_free(snapshot->buffers);
    cam_free(snapshot->permuted);
    cam_free(snapshot);
}

/* The averaged part: its weights, and its buffers as they are. */
static size_t list_average(const struct snapshot *s, struct item *out)
{
    const struct training *t = s->training;
    int state = training_ema_state(t);
    if (state < 0) {
        return 0;
    }
    int index = training_ema_part(t);
    const struct part_info *part = &t->parts[index];
    size_t count = 0;
    for (int i = part->parameter_first; i < part->parameter_first + part->parameter_count; i++) {
        const struct tensor_info *info = &t->parameters[i];
        int64_t offset = info->offset - part->block_first * BLOCK_FLOATS;
        out[count++] =
            (struct item){.info = info, .floats = s->state[state] + offset, .average = true};
    }
    for (int i = 0; i < t->buffer_count; i++) {
        const struct tensor_info *info = &t->buffers[i];
        if (info->part == index) {
            out[count++] = (struct item){
                .info = info, .floats = s->buffers + info->offset, .average = true, .copy = true};
        }
    }
    return count;
}

static size_t list_model(const struct snapshot *s, struct item *out)
{
    const struct training *t = s->training;
    size_t count = 0;
    for (int i = 0; i < t->parameter_count; i++) {
        const struct tensor_info *info = &t->parameters[i];
        out[count++] = (struct item){.info = info, .floats = s->parameters + info->offset};
    }
    for (int i = 0; i < t->buffer_count; i++) {
        const struct tensor_info *info = &t->buffers[i];
        out[count++] = (struct item){.info = info, .floats = s->buffers + info->offset};
    }
    return count + list_average(s, out + count);
}

void snapshot_swap_average(struct snapshot *snapshot)
{
    const struct training *t = snapshot->training;
    int state = training_ema_state(t);
    if (state < 0) {
        return;
    }
    const struct part_info *part = &t->parts[training_ema_part(t)];
    float *weights = snapshot->parameters + part->block_first * BLOCK_FLOATS;
    float *average = snapshot->state[state];
    for (int64_t i = 0; i < part->block_count * BLOCK_FLOATS; i++) {
        float kept = weights[i];
        weights[i] = average[i];
        average[i] = kept;
    }
}

static size_t list_optimizer(const struct snapshot *s, struct item *out)
{
    const struct training *t = s->training;
    size_t count = 0;
    for (int p = 0; p < t->phase_count; p++) {
        const struct part_info *part = &t->parts[t->phases[p].part];
        for (int k = 0; k < training_own_states(t, p); k++) {
            if (state_index(t, p, k) == training_ema_state(t)) {
                continue; /* stands in the model's file */
            }
            for (int i = 0; i < part->parameter_count; i++) {
                const struct tensor_info *info = &t->parameters[part->parameter_first + i];
                int64_t offset = info->offset - part->block_first * BLOCK_FLOATS;
                out[count++] = (struct item){
                    .info = info,
                    .floats = s->state[state_index(t, p, k)] + offset,
                    .suffix = t->phases[p].update.state_names[k],
                };
            }
        }
    }
    return count;
}

static enum cam_code list_items(const struct snapshot *s, bool optimizer, struct items *out,
                                struct cam_err *err)
{
    const struct training *t = s->training;
    size_t most = 2u * (size_t)(t->parameter_count + t->buffer_count);
    if (optimizer) {
        most = 0;
        for (int p = 0; p < t->phase_count; p++) {
            most +=
                (size_t)(t->parts[t->phases[p].part].parameter_count * training_own_states(t, p));
        }
    }
    out->item = cam_alloc(most + 1, sizeof *out->item);
    if (out->item == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the list of tensors: out of memory");
    }
    out->count = optimizer ? list_optimizer(s, out->item) : list_model(s, out->item);
    return CAM_OK;
}

static void name_of(const struct item *item, char out[NAME_SIZE])
{
    if (item->average) {
        const char *rest = strchr(item->info->name, '.');
        int length = (int)(rest - item->info->name);
        (void)snprintf(out, NAME_SIZE, "%.*s_ema%s", length, item->info->name, rest);
        return;
    }
    (void)snprintf(out, NAME_SIZE, item->suffix == NULL ? "%s" : "%s.%s", item->info->name,
                   item->suffix);
}

/* In place, through `permuted`; most tensors stay as they are. */
static void export_item(const struct snapshot *s, const struct item *item)
{
    if (item->info->layout != EXPORT_SAME && !item->copy) {
        tensor_export(item->info, item->floats, s->permuted);
        memcpy(item->floats, s->permuted, (size_t)shape_count(&item->info->shape) * sizeof(float));
    }
}

enum cam_code snapshot_export(struct snapshot *snapshot, bool with_state, struct cam_err *err)
{
    enum cam_code rc = CAM_OK;
    for (int file = 0; file <= (with_state ? 1 : 0) && rc == CAM_OK; file++) {
        struct items items = {0};
        rc = list_items(snapshot, file == 1, &items, err);
        for (size_t i = 0; rc == CAM_OK && i < items.count; i++) {
            export_item(snapshot, &items.item[i]);
        }
        cam_free(items.item);
    }
    return rc;
}

static enum cam_code write_items(const struct items *items, const char *vocabulary,
                                 const char *path, char digest_out[CAM_DIGEST_HEX_SIZE],
                                 struct cam_err *err)
{
    struct safetensors_tensor *tensors = cam_alloc(items->count + 1, sizeof *tensors);
    char(*names)[NAME_SIZE] = cam_alloc(items->count + 1, sizeof *names);
    enum cam_code rc = CAM_OK;
    if (tensors == NULL || names == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    for (size_t i = 0; rc == CAM_OK && i < items->count; i++) {
        const struct item *item = &items->item[i];
        struct shape shape = tensor_export_shape(item->info);
        name_of(item, names[i]);
        tensors[i] = (struct safetensors_tensor){
            .name = names[i],
            .dtype = "F32",
            .rank = shape.rank,
            .bytes = item->floats,
            .size_bytes = (size_t)shape_count(&shape) * sizeof(float),
        };
        memcpy(tensors[i].dim, shape.dim, sizeof tensors[i].dim);
    }
    if (rc == CAM_OK) {
        rc = safetensors_digest_of(tensors, items->count, digest_out, err);
    }
    if (rc == CAM_OK) {
        const struct safetensors_pair pairs[] = {{.key = "format", .value = "pt"},
                                                 {.key = "vocabulary", .value = vocabulary}};
        rc = safetensors_write(path, tensors, items->count, pairs, vocabulary != NULL ? 2 : 1, err);
    }
    cam_free(names);
    cam_free(tensors);
    return rc;
}

static enum cam_code write_file(const struct snapshot *snapshot, bool optimizer, const char *path,
                                char digest_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    struct items items = {0};
    enum cam_code rc = list_items(snapshot, optimizer, &items, err);
    if (rc == CAM_OK) {
        rc = write_items(&items, optimizer ? NULL : snapshot->vocabulary, path, digest_out, err);
    }
    cam_free(items.item);
    return rc;
}

enum cam_code snapshot_write_model(const struct snapshot *snapshot, const char *path,
                                   char digest_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    return write_file(snapshot, false, path, digest_out, err);
}

enum cam_code snapshot_write_optimizer(const struct snapshot *snapshot, const char *path,
                                       char digest_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    return write_file(snapshot, true, path, digest_out, err);
}

enum cam_code snapshot_write_vocabulary(const struct snapshot *snapshot, const char *folder,
                                        struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    if (snapshot->vocabulary == NULL) {
        return CAM_OK;
    }
    enum cam_code rc = cam_path(path, err, "%s/vocabulary.json", folder);
    return rc == CAM_OK ? cam_file_replace(path, snapshot->vocabulary, strlen(snapshot->vocabulary),
                                           0600, err)
                        : rc;
}

static enum cam_code read_item(const struct safetensors *file, const char *path,
                               const struct item *item, struct cam_err *err)
{
    char name[NAME_SIZE];
    name_of(item, name);
    const struct safetensors_tensor *tensor = safetensors_find(file, name);
    struct shape shape = tensor_export_shape(item->info);
    if (tensor == NULL) {
        return cam_fail(err, CAM_CORRUPT, "%s: the tensor %s is missing", path, name);
    }
    bool same = strcmp(tensor->dtype, "F32") == 0 && tensor->rank == shape.rank;
    for (int i = 0; same && i < shape.rank; i++) {
        same = tensor->dim[i] == shape.dim[i];
    }
    if (!same) {
        char text[128];
        return cam_fail(err, CAM_CORRUPT, "%s: %s is not F32 %s", path, name,
                        shape_text(&shape, text, sizeof text));
    }
    tensor_import(item->info, tensor->bytes, item->floats);
    return CAM_OK;
}

static enum cam_code read_file(const struct snapshot *snapshot, bool optimizer, const char *path,
                               const char *digest, struct cam_err *err)
{
    struct items items = {0};
    struct safetensors *file = NULL;
    char found[CAM_DIGEST_HEX_SIZE];
    enum cam_code rc = list_items(snapshot, optimizer, &items, err);
    if (rc == CAM_OK) {
        rc = safetensors_digest(path, found, err);
    }
    if (rc == CAM_OK && strcmp(found, digest) != 0) {
        rc = cam_fail(err, CAM_CORRUPT, "%s: its digest is %.12s..., state.json says %.12s...",
                      path, found, digest);
    }
    if (rc == CAM_OK) {
        rc = safetensors_open(path, &file, err);
    }
    for (size_t i = 0; rc == CAM_OK && i < items.count; i++) {
        rc = items.item[i].copy ? CAM_OK : read_item(file, path, &items.item[i], err);
    }
    safetensors_close(file);
    cam_free(items.item);
    return rc;
}

enum cam_code snapshot_read_model(struct snapshot *snapshot, const char *path, const char *digest,
                                  struct cam_err *err)
{
    return read_file(snapshot, false, path, digest, err);
}

enum cam_code snapshot_read_optimizer(struct snapshot *snapshot, const char *path,
                                      const char *digest, struct cam_err *err)
{
    return read_file(snapshot, true, path, digest, err);
}
