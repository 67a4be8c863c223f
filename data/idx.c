/*
 * IDX files, the format of MNIST: a zero word, a type, the number of dimensions, the dimensions as
 * big-endian words, then the values.  Only 8-bit values here.  Gzipped files are recognised by
 * their content, whatever they are called.
 */
#include "base/mem.h"
#include "data/format.h"
#include "data/inflate.h"
#include "data/reader.h"
#include "data/share.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IDX_U8 = 0x08,
    DIMS_MAX = 4,
    PREFIX_BYTES = 4,
    HEADER_BYTES_MAX = PREFIX_BYTES + 4 * DIMS_MAX,
    GZIP_TRAILER_BYTES = 4,
};

static const int64_t SAMPLE_BYTES_MAX = INT64_C(1) << 28;
static const int64_t FILE_BYTES_MAX = INT64_C(1) << 40;

/* What the header of one file says. */
struct idx_header {
    int dims;
    int64_t dim[DIMS_MAX];
    int64_t header_bytes;
    int64_t value_bytes;
    uint8_t raw[HEADER_BYTES_MAX];
    bool gzipped;
};

struct idx {
    char *images_path;
    struct idx_header images;
    int64_t sample_bytes;
    const uint8_t *pixels; /* all samples, in own or shared; NULL before load */
    uint8_t *own;          /* the whole file */
    struct share shared;   /* the same, where a folder for it is known */
    char *folder;          /* or NULL */
    const uint8_t *labels; /* in labels_file; NULL: none */
    uint8_t *labels_file;
};

/* What a file is for, and how many dimensions it may have. */
struct file_role {
    const char *name;
    int least_dims;
    int most_dims;
};
static const struct file_role IMAGES = {"images", 2, DIMS_MAX};
static const struct file_role LABELS = {"labels", 1, 1};

/* Of the images, in the folder that processes share. */
static const char SHARED_NAME[] = "images";

static int64_t big_endian(const uint8_t *bytes)
{
    return (int64_t)bytes[0] << 24 | (int64_t)bytes[1] << 16 | (int64_t)bytes[2] << 8 |
           (int64_t)bytes[3];
}

/* The header at the reader's start. */
static enum cam_code read_header(struct reader *reader, const struct file_role *role,
                                 struct idx_header *out, struct cam_err *err)
{
    uint8_t bytes[HEADER_BYTES_MAX] = {0};
    int64_t got = 0;
    enum cam_code rc = reader_take(reader, bytes, PREFIX_BYTES, &got, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (got < PREFIX_BYTES || bytes[0] != 0 || bytes[1] != 0 || bytes[2] != IDX_U8 ||
        bytes[3] < role->least_dims || bytes[3] > role->most_dims) {
        char allowed[8];
        (void)snprintf(allowed, sizeof allowed,
                       role->least_dims == role->most_dims ? "%02x" : "%02x..%02x",
                       role->least_dims, role->most_dims);
        return cam_fail(err, CAM_CORRUPT,
                        "data %s %s: begins with %02x %02x %02x %02x, an IDX file of %s begins "
                        "with 00 00 08 %s",
                        role->name, reader->path, bytes[0], bytes[1], bytes[2], bytes[3],
                        role->name, allowed);
    }
    *out = (struct idx_header){.dims = bytes[3], .gzipped = reader_is_gzipped(reader)};
    out->header_bytes = PREFIX_BYTES + 4 * (int64_t)out->dims;
    rc = reader_take(reader, bytes + PREFIX_BYTES, 4 * (int64_t)out->dims, &got, err);
    if (rc != CAM_OK) {
        return rc;
    }
    memcpy(out->raw, bytes, sizeof bytes);
    out->value_bytes = 1;
    for (int i = 0; i < out->dims; i++) {
        out->dim[i] =
            got == 4 * (int64_t)out->dims ? big_endian(bytes + PREFIX_BYTES + (size_t)i * 4) : 0;
        if (out->dim[i] == 0 || out->value_bytes > FILE_BYTES_MAX / out->dim[i]) {
            return cam_fail(err, CAM_CORRUPT,
                            "data %s %s: its header is cut short, or names a size of 0 or of more "
                            "than %" PRId64 " bytes",
                            role->name, reader->path, FILE_BYTES_MAX);
        }
        out->value_bytes *= out->dim[i];
    }
    return CAM_OK;
}

/* Opens a file for as long as it takes to read its header. */
static enum cam_code look_at(const struct file_role *role, const char *path, struct idx_header *out,
                             struct cam_err *err)
{
    struct reader reader = {.role = role->name, .path = path};
    enum cam_code rc = reader_open(&reader, READER_HEADER, err);
    if (rc == CAM_OK) {
        rc = read_header(&reader, role, out, err);
    }
    reader_close(&reader);
    return rc;
}

/* ---------------------------------------------------------------- values */

/* A file whose header is known. */
struct whole {
    const struct file_role *role;
    const char *path;
    const struct idx_header *header;
};

static int64_t whole_bytes(const struct whole *whole)
{
    return whole->header->header_bytes + whole->header->value_bytes;
}

/* So many bytes of values were read: they are all, and the file's last; gzip checks its CRC. */
static enum cam_code check_end(struct reader *reader, const struct idx_header *header, int64_t got,
                               struct cam_err *err)
{
    int64_t more = 0;
    uint8_t one = 0;
    if (got < header->value_bytes) {
        return cam_fail(err, CAM_CORRUPT,
                        "data %s %s: cut short: %" PRId64
                        " bytes of values, its header names %" PRId64,
                        reader->role, reader->path, got, header->value_bytes);
    }
    /* The read past the end also makes zlib compare the checksum. */
    enum cam_code rc = reader_take(reader, &one, 1, &more, err);
    if (rc == CAM_OK && more > 0) {
        rc = cam_fail(err, CAM_CORRUPT,
                      "data %s %s: more bytes than the %" PRId64 " that its header names",
                      reader->role, reader->path, header->value_bytes);
    }
    return rc;
}

/* Opens it behind its header, which is still the known one. */
static enum cam_code open_values(const struct whole *whole, struct reader *reader,
                                 struct cam_err *err)
{
    struct idx_header found;
    enum cam_code rc = reader_open(reader, READER_WHOLE, err);
    if (rc == CAM_OK) {
        rc = read_header(reader, whole->role, &found, err);
    }
    if (rc == CAM_OK && memcmp(found.raw, whole->header->raw, sizeof found.raw) != 0) {
        rc = cam_fail(err, CAM_CHANGED, "data %s %s: changed while it was being read",
                      whole->role->name, whole->path);
    }
    return rc;
}

/* Reads it to its end and keeps nothing: a header may name more than there is memory for. */
static enum cam_code look_through(const struct whole *whole, struct cam_err *err)
{
    enum { PIECE_BYTES = 256 * 1024 };
    const struct idx_header *header = whole->header;
    struct reader reader = {.role = whole->role->name, .path = whole->path};
    int64_t done = 0;
    uint8_t *piece = cam_alloc(PIECE_BYTES, 1);
    if (piece == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "data %s %s: out of memory", whole->role->name,
                        whole->path);
    }
    enum cam_code rc = open_values(whole, &reader, err);
    for (int64_t got = 1; rc == CAM_OK && got > 0 && done < header->value_bytes; done += got) {
        int64_t left = header->value_bytes - done;
        rc = reader_take(&reader, piece, left < PIECE_BYTES ? left : PIECE_BYTES, &got, err);
    }
    if (rc == CAM_OK) {
        rc = check_end(&reader, header, done, err);
    }
    reader_close(&reader);
    cam_free(piece);
    return rc;
}

/* A share_fill_fn: header and values of a struct whole. */
static enum cam_code read_whole(void *context, uint8_t *bytes, struct cam_err *err)
{
    const struct whole *whole = context;
    const struct idx_header *header = whole->header;
    struct reader reader = {.role = whole->role->name, .path = whole->path};
    int64_t got = 0;
    if (header->gzipped && inflate_file(whole->path, bytes, (size_t)whole_bytes(whole)) &&
        memcmp(bytes, header->raw, (size_t)header->header_bytes) == 0) {
        return CAM_OK;
    }
    enum cam_code rc = open_values(whole, &reader, err);
    if (rc == CAM_OK) {
        memcpy(bytes, header->raw, (size_t)header->header_bytes);
        rc = reader_take(&reader, bytes + header->header_bytes, header->value_bytes, &got, err);
    }
    if (rc == CAM_OK) {
        rc = check_end(&reader, header, got, err);
    }
    reader_close(&reader);
    return rc;
}

/* The whole file in memory of this process's own; *out ends with cam_free. */
static enum cam_code read_own(struct whole *whole, uint8_t **out, struct cam_err *err)
{
    uint8_t *bytes = cam_alloc((size_t)whole_bytes(whole), 1);
    if (bytes == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "data %s %s: %" PRId64 " bytes: out of memory",
                        whole->role->name, whole->path, whole_bytes(whole));
    }
    enum cam_code rc = read_whole(whole, bytes, err);
    if (rc != CAM_OK) {
        cam_free(bytes);
        return rc;
    }
    *out = bytes;
    return CAM_OK;
}

static struct whole images_of(const struct idx *idx)
{
    return (struct whole){.role = &IMAGES, .path = idx->images_path, .header = &idx->images};
}

/* The images in memory that the processes of this host share; CAM_UNSUPPORTED. */
static enum cam_code share_images(struct idx *idx, struct cam_err *err)
{
    struct whole whole = images_of(idx);
    return idx->folder == NULL ? CAM_UNSUPPORTED
                               : share_open(idx->folder, SHARED_NAME, whole_bytes(&whole),
                                            read_whole, &whole, &idx->shared, err);
}

static enum cam_code bring_images(struct idx *idx, struct cam_err *err)
{
    struct whole whole = images_of(idx);
    enum cam_code rc = share_images(idx, err);
    if (rc == CAM_UNSUPPORTED) {
        rc = read_own(&whole, &idx->own, err);
    }
    if (rc == CAM_OK) {
        idx->pixels = (idx->own != NULL ? idx->own : idx->shared.bytes) + idx->images.header_bytes;
    }
    return rc;
}

/* ---------------------------------------------------------------- opening */

/* The size that the file itself speaks of: of a plain file its length; of a gzipped one the last
 * word, which is the inflated length modulo 2^32 (of the last member). */
static enum cam_code check_length(const char *role, const char *path,
                                  const struct idx_header *header, bool *fits_out,
                                  struct cam_err *err)
{
    uint8_t word[GZIP_TRAILER_BYTES] = {0};
    int64_t expected = header->header_bytes + header->value_bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        int reason = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return cam_fail_errno(err, reason, "data %s %s", role, path);
    }
    if (!header->gzipped) {
        *fits_out = info.st_size == expected;
    } else {
        ssize_t got = pread(fd, word, sizeof word, info.st_size - GZIP_TRAILER_BYTES);
        uint32_t length = (uint32_t)word[0] | (uint32_t)word[1] << 8 | (uint32_t)word[2] << 16 |
                          (uint32_t)word[3] << 24;
        *fits_out = got == GZIP_TRAILER_BYTES && length == (uint32_t)expected;
    }
    (void)close(fd);
    return CAM_OK;
}

/* A cheap look at open that finds most truncated files; where the length does not fit, the whole
 * file is read, for the right words or because it has several gzip members. */
static enum cam_code check_images(struct idx *idx, struct cam_err *err)
{
    bool fits = false;
    enum cam_code rc = check_length("images", idx->images_path, &idx->images, &fits, err);
    struct whole whole = images_of(idx);
    if (rc == CAM_OK && !fits) {
        rc = look_through(&whole, err);
    }
    return rc;
}

static enum cam_code open_labels(struct idx *idx, const char *path, struct source_info *info,
                                 struct cam_err *err)
{
    struct idx_header header;
    struct whole whole = {.role = &LABELS, .path = path, .header = &header};
    enum cam_code rc = look_at(&LABELS, path, &header, err);
    if (rc == CAM_OK && header.dim[0] != info->count) {
        rc = cam_fail(err, CAM_INVALID,
                      "data labels %s: %" PRId64 " labels for %" PRId64
                      " images of %s, one for every image is expected",
                      path, header.dim[0], info->count, idx->images_path);
    }
    if (rc == CAM_OK) {
        rc = read_own(&whole, &idx->labels_file, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    idx->labels = idx->labels_file + header.header_bytes;
    for (int64_t i = 0; i < info->count; i++) {
        if (idx->labels[i] >= info->classes) {
            info->classes = idx->labels[i] + 1;
        }
    }
    return CAM_OK;
}

static void idx_close(void *state)
{
    struct idx *idx = state;
    if (idx != NULL) {
        cam_free(idx->images_path);
        cam_free(idx->folder);
        cam_free(idx->own);
        share_close(&idx->shared);
        cam_free(idx->labels_file);
        cam_free(idx);
    }
}

static enum cam_code idx_open(const struct data_spec *spec, void **state_out,
                              struct source_info *info, const char **role_out, struct cam_err *err)
{
    struct idx *idx = cam_alloc(1, sizeof *idx);
    if (idx == NULL || (idx->images_path = cam_strdup(spec->images)) == NULL) {
        idx_close(idx);
        return cam_fail(err, CAM_NO_MEMORY, "data images %s: out of memory", spec->images);
    }
    *role_out = IMAGES.name;
    enum cam_code rc = look_at(&IMAGES, spec->images, &idx->images, err);
    if (rc == CAM_OK) {
        const struct idx_header *h = &idx->images;
        idx->sample_bytes = h->value_bytes / h->dim[0];
        *info = (struct source_info){.count = h->dim[0],
                                     .height = h->dims == 2 ? 1 : h->dim[1],
                                     .width = h->dim[h->dims == 2 ? 1 : 2],
                                     .channels = h->dims == 4 ? h->dim[3] : 1,
                                     .set_bytes = h->value_bytes};
        if (idx->sample_bytes > SAMPLE_BYTES_MAX) {
            rc = cam_fail(err, CAM_INVALID,
                          "data images %s: %" PRId64 " values a sample, at most %" PRId64,
                          spec->images, idx->sample_bytes, SAMPLE_BYTES_MAX);
        }
    }
    if (rc == CAM_OK) {
        rc = check_images(idx, err);
    }
    if (rc == CAM_OK && spec->labels != NULL) {
        *role_out = LABELS.name;
        rc = open_labels(idx, spec->labels, info, err);
    }
    if (rc != CAM_OK) {
        idx_close(idx);
        return rc;
    }
    *state_out = idx;
    return CAM_OK;
}

static enum cam_code idx_share(void *state, const char *folder, struct cam_err *err)
{
    struct idx *idx = state;
    idx->folder = cam_strdup(folder);
    return idx->folder != NULL
               ? CAM_OK
               : cam_fail(err, CAM_NO_MEMORY, "data images %s: out of memory", idx->images_path);
}

static enum cam_code idx_preload(void *state, struct cam_err *err)
{
    return share_images(state, err);
}

static enum cam_code idx_load(void *state, struct cam_err *err)
{
    return bring_images(state, err);
}

static void idx_read(const void *state, int64_t index, float *values, float *labels)
{
    const struct idx *idx = state;
    const uint8_t *from = idx->pixels + index * idx->sample_bytes;
    for (int64_t i = 0; i < idx->sample_bytes; i++) {
        values[i] = format_pixel(from[i]);
    }
    *labels = idx->labels != NULL ? (float)idx->labels[index] : -1.0F;
}

static int idx_files(const struct data_spec *spec, struct format_file out[FORMAT_FILES_MAX])
{
    int count = 0;
    out[count++] = (struct format_file){.role = "images", .path = spec->images};
    if (spec->labels != NULL) {
        out[count++] = (struct format_file){.role = "labels", .path = spec->labels};
    }
    if (spec->validation_images != NULL) {
        out[count++] =
            (struct format_file){.role = "validation.images", .path = spec->validation_images};
        out[count++] =
            (struct format_file){.role = "validation.labels", .path = spec->validation_labels};
    }
    return count;
}

static json_t *idx_describe(const struct data_spec *spec)
{
    (void)spec;
    return json_pack("{s:s}", "format", "idx");
}

const struct source_format IDX_FORMAT = {
    .name = "idx",
    .open = idx_open,
    .share = idx_share,
    .preload = idx_preload,
    .load = idx_load,
    .load_role = "images",
    .read = idx_read,
    .close = idx_close,
    .files = idx_files,
    .describe = idx_describe,
};
