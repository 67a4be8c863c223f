#include "data/inflate.h"

#include "base/mem.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/* The compressed file is held beside its bytes: no more than this is held. */
static const int64_t FILE_BYTES_MAX = INT64_C(256) << 20;

static uint8_t *read_whole(const char *path, size_t *size_out)
{
    struct stat info;
    uint8_t *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
        info.st_size <= FILE_BYTES_MAX) {
        *size_out = (size_t)info.st_size;
        bytes = cam_alloc(*size_out, 1);
    }
    for (size_t done = 0; bytes != NULL && done < *size_out;) {
        ssize_t got = read(fd, bytes + done, *size_out - done);
        if (got <= 0) {
            cam_free(bytes);
            bytes = NULL;
        } else {
            done += (size_t)got;
        }
    }
    (void)close(fd);
    return bytes;
}

bool inflate_file(const char *path, void *bytes, size_t size)
{
    size_t file_size = 0;
    uint8_t *file = read_whole(path, &file_size);
    struct libdeflate_decompressor *inflater =
        file == NULL ? NULL : libdeflate_alloc_decompressor();
    size_t taken = 0;
    size_t given = 0;
    bool good = inflater != NULL;
    while (good && taken < file_size) {
        size_t in = 0;
        size_t out = 0;
        good = libdeflate_gzip_decompress_ex(inflater, file + taken, file_size - taken,
                                             (uint8_t *)bytes + given, size - given, &in,
                                             &out) == LIBDEFLATE_SUCCESS;
        taken += in;
        given += out;
    }
    if (inflater != NULL) {
        libdeflate_free_decompressor(inflater);
    }
    cam_free(file);
    return good && given == size;
}
