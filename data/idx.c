/*
 * IDX files, the format of MNIST: a zero word, a type, the number of dimensions, the dimensions as
 * big-endian words, then the values.  Only 8-bit values here.  Gzipped files are recognised by
 * their content, whatever they are called.
 */
#include "base/mem.h"
#include "data/format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    IDX_U8 = 0x08,
    DIMS_MAX = 4,
    PREFIX_BYTES = 4,
    HEADER_BYTES_MAX = PREFIX_BYTES + 4 * DIMS_MAX,
    GZIP_TRAILER_BYTES = 4,
    INFLATE_BUFFER_BYTES = 128 * 1024,
};

static const int64_t SAMPLE_BYTES_MAX = INT64_C(1) << 28;
static const int64_t FILE_BYTES_MAX = INT64_C(1) << 40;

/* What the header of one file says. */
struct idx_header {
    int dims;
    int64_t dim[DIMS_MAX];
    int64_t header_bytes;
    int64_t value_bytes;
    bool gzipped;
};

struct idx {
    char *images_path;
    struct idx_header images;
    int64_t sample_bytes;
    uint8_t *pixels; /* all samples; NULL before load */
    uint8_t *labels; /* NULL: none */
};

/* What a file is for, and how many dimensions it may have. */
struct file_role {
    const char *name;
    int least_dims;
    int most_dims;
};
static const struct file_role IMAGES = {"images", 2, DIMS_MAX};
static const struct file_role LABELS = {"labels", 1, 1};

/* A file being read: gzread takes plain files as they are. */
struct reader {
    const struct file_role *role;
    const char *path;
    gzFile gz;
};

static enum cam_code reader_open(struct reader *reader, struct cam_err *err)
{
    int fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "data %s %s: cannot open", reader->role->name,
                              reader->path);
    }
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(fd);
        return cam_fail(err, CAM_INVALID,
                        "data %s %s: no regular file, an IDX file is expected, gzipped or not",
                        reader->role->name, reader->path);
    }
    reader->gz = gzdopen(fd, "rb");
    if (reader->gz == NULL) {
        (void)close(fd);
        return cam_fail(err, CAM_NO_MEMORY, "data %s %s: out of memory", reader->role->name,
                        reader->path);
    }
    (void)gzbuffer(reader->gz, INFLATE_BUFFER_BYTES);
    return CAM_OK;
}

static void reader_close(struct reader *reader)
{
    if (reader->gz != NULL) {
        (void)gzclose_r(reader->gz);
        reader->gz = NULL;
    }
}

/* Reads size bytes, or up to the end: *read_out says how many. */
static enum cam_code reader_take(struct reader *reader, void *bytes, int64_t size,
                                 int64_t *read_out, struct cam_err *err)
{
    enum { PIECE_BYTES = 1 << 20 };
    int64_t done = 0;
    while (done < size) {
        int64_t left = size - done;
        unsigned piece = left < PIECE_BYTES ? (unsigned)left : PIECE_BYTES;
        int got = gzread(reader->gz, (uint8_t *)bytes + done, piece);
        int code = Z_OK;
        const char *text = got <= 0 ? gzerror(reader->gz, &code) : "";
        const char *plain = strstr(text, ">: "); /* zlib's name of the file is <fd:3> */
        /* A gzip stream that just stops is no negative count, only a pending Z_BUF_ERROR. */
        if (got < 0 || code == Z_BUF_ERROR) {
            if (code == Z_ERRNO) {
                return cam_fail_errno(err, errno, "data %s %s", reader->role->name, reader->path);
            }
            return cam_fail(err, CAM_CORRUPT,
                            "data %s %s: damaged gzip data before byte %" PRId64 " of the file: %s",
                            reader->role->name, reader->path, (int64_t)gzoffset(reader->gz),
                            plain != NULL ? plain + 3 : text);
        }
        if (got == 0) {
            break;
        }
        done += got;
    }
    *read_out = done;
    return CAM_OK;
}

static int64_t big_endian(const uint8_t *bytes)
{
    return (int64_t)bytes[0] << 24 | (int64_t)bytes[1] << 16 | (int64_t)bytes[2] << 8 |
           (int64_t)bytes[3];
}

/* The header at the reader's start. */
static enum cam_code read_header(struct reader *reader, struct idx_header *out, struct cam_err *err)
{
    const struct file_role *role = reader->role;
    uint8_t bytes[HEADER_BYTES_MAX];
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
                        reader->role->name, reader->path, got > 0 ? bytes[0] : 0u,
                        got > 1 ? bytes[1] : 0u, got > 2 ? bytes[2] : 0u, got > 3 ? bytes[3] : 0u,
                        reader->role->name, allowed);
    }
    *out = (struct idx_header){.dims = bytes[3], .gzipped = gzdirect(reader->gz) == 0};
    out->header_bytes = PREFIX_BYTES + 4 * (int64_t)out->dims;
    rc = reader_take(reader, bytes, 4 * (int64_t)out->dims, &got, err);
    if (rc != CAM_OK) {
        return rc;
    }
    out->value_bytes = 1;
    for (int i = 0; i < out->dims; i++) {
        out->dim[i] = got == 4 * (int64_t)out->dims ? big_endian(bytes + (size_t)i * 4) : 0;
        if (out->dim[i] == 0 || out->value_bytes > FILE_BYTES_MAX / out->dim[i]) {
            return cam_fail(err, CAM_CORRUPT,
                            "data %s %s: its header is cut short, or names a size of 0 or of more "
                            "than %" PRId64 " bytes",
                            reader->role->name, reader->path, FILE_BYTES_MAX);
        }
        out->value_bytes *= out->dim[i];
    }
    return CAM_OK;
}

/* Reads the values behind the header, to the last byte and no further; gzip checks its CRC. */
static enum cam_code read_values(struct reader *reader, const struct idx_header *header,
                                 uint8_t **out, struct cam_err *err)
{
    uint8_t *values = cam_alloc((size_t)header->value_bytes, 1);
    if (values == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "data %s %s: %" PRId64 " bytes: out of memory",
                        reader->role->name, reader->path, header->value_bytes);
    }
    int64_t got = 0;
    int64_t more = 0;
    uint8_t one = 0;
    enum cam_code rc = reader_take(reader, values, header->value_bytes, &got, err);
    if (rc == CAM_OK && got < header->value_bytes) {
        rc = cam_fail(err, CAM_CORRUPT,
                      "data %s %s: cut short: %" PRId64
                      " bytes of values, its header names %" PRId64,
                      reader->role->name, reader->path, got, header->value_bytes);
    }
    /* The read past the end also makes zlib compare the checksum. */
    if (rc == CAM_OK) {
        rc = reader_take(reader, &one, 1, &more, err);
    }
    if (rc == CAM_OK && more > 0) {
        rc = cam_fail(err, CAM_CORRUPT,
                      "data %s %s: more bytes than the %" PRId64 " that its header names",
                      reader->role->name, reader->path, header->value_bytes);
    }
    if (rc != CAM_OK) {
        cam_free(values);
        return rc;
    }
    *out = values;
    return CAM_OK;
}

/* Opens a file, reads its header, and with values_out all of it. */
static enum cam_code read_file(const struct file_role *role, const char *path,
                               struct idx_header *header, uint8_t **values_out, struct cam_err *err)
{
    struct reader reader = {.role = role, .path = path};
    enum cam_code rc = reader_open(&reader, err);
    if (rc == CAM_OK) {
        rc = read_header(&reader, header, err);
    }
    if (rc == CAM_OK && values_out != NULL) {
        rc = read_values(&reader, header, values_out, err);
    }
    reader_close(&reader);
    return rc;
}

/* The size that the file itself speaks of: of a plain file its length; of a gzipped one the last
 * word, which is the inflated length modulo 2^32 (of the last member). */
static enum cam_code check_length(const char *role, const char *path,
                                  const struct idx_header *header, bool *fits_out,
                                  struct cam_err *err)
{
    uint8_t word[GZIP_TRAILER_BYTES] = {0};
    int64_t expected = header->header_bytes + header->value_bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
    if (rc == CAM_OK && !fits) {
        rc = read_file(&IMAGES, idx->images_path, &idx->images, &idx->pixels, err);
    }
    return rc;
}

static enum cam_code open_labels(struct idx *idx, const char *path, struct source_info *info,
                                 struct cam_err *err)
{
    struct idx_header header;
    enum cam_code rc = read_file(&LABELS, path, &header, &idx->labels, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (header.dim[0] != info->count) {
        return cam_fail(err, CAM_INVALID,
                        "data labels %s: %" PRId64 " labels for %" PRId64
                        " images of %s, one for every image is expected",
                        path, header.dim[0], info->count, idx->images_path);
    }
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
        cam_free(idx->pixels);
        cam_free(idx->labels);
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
    enum cam_code rc = read_file(&IMAGES, spec->images, &idx->images, NULL, err);
    if (rc == CAM_OK) {
        const struct idx_header *h = &idx->images;
        idx->sample_bytes = h->value_bytes / h->dim[0];
        *info = (struct source_info){.count = h->dim[0],
                                     .height = h->dims == 2 ? 1 : h->dim[1],
                                     .width = h->dim[h->dims == 2 ? 1 : 2],
                                     .channels = h->dims == 4 ? h->dim[3] : 1};
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

static enum cam_code idx_load(void *state, struct cam_err *err)
{
    struct idx *idx = state;
    struct idx_header header;
    if (idx->pixels != NULL) {
        return CAM_OK;
    }
    uint8_t *pixels = NULL;
    enum cam_code rc = read_file(&IMAGES, idx->images_path, &header, &pixels, err);
    if (rc != CAM_OK) {
        return rc;
    }
    if (header.value_bytes != idx->images.value_bytes || header.dim[0] != idx->images.dim[0]) {
        cam_free(pixels);
        return cam_fail(err, CAM_CHANGED, "data images %s: changed while it was being read",
                        idx->images_path);
    }
    idx->pixels = pixels;
    return CAM_OK;
}

static void idx_read(const void *state, int64_t index, float *pixels, int32_t *label_out)
{
    const struct idx *idx = state;
    const uint8_t *from = idx->pixels + index * idx->sample_bytes;
    for (int64_t i = 0; i < idx->sample_bytes; i++) {
        pixels[i] = format_pixel(from[i]);
    }
    *label_out = idx->labels != NULL ? idx->labels[index] : -1;
}

static int idx_files(const struct data_spec *spec, struct format_file out[FORMAT_FILES_MAX])
{
    int count = 0;
    out[count++] = (struct format_file){.role = "images", .path = spec->images};
    if (spec->labels != NULL) {
        out[count++] = (struct format_file){.role = "labels", .path = spec->labels};
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
    .load = idx_load,
    .read = idx_read,
    .close = idx_close,
    .files = idx_files,
    .describe = idx_describe,
};
