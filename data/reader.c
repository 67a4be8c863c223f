#include "data/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* zlib fills twice its buffer even where only a header is asked for. */
static const unsigned BUFFER_BYTES[] = {
    [READER_HEADER] = 4 * 1024,
    [READER_WHOLE] = 128 * 1024,
};

enum cam_code reader_open(struct reader *reader, enum reader_use use, struct cam_err *err)
{
    int fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "data %s %s: cannot open", reader->role, reader->path);
    }
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(fd);
        return cam_fail(err, CAM_INVALID,
                        "data %s %s: no regular file, which is expected, gzipped or not",
                        reader->role, reader->path);
    }
    reader->gz = gzdopen(fd, "rb");
    if (reader->gz == NULL) {
        (void)close(fd);
        return cam_fail(err, CAM_NO_MEMORY, "data %s %s: out of memory", reader->role,
                        reader->path);
    }
    (void)gzbuffer(reader->gz, BUFFER_BYTES[use]);
    return CAM_OK;
}

void reader_close(struct reader *reader)
{
    if (reader->gz != NULL) {
        (void)gzclose_r(reader->gz);
        reader->gz = NULL;
    }
}

bool reader_is_gzipped(struct reader *reader)
{
    return gzdirect(reader->gz) == 0;
}

enum cam_code reader_take(struct reader *reader, void *bytes, int64_t size, int64_t *read_out,
                          struct cam_err *err)
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
                return cam_fail_errno(err, errno, "data %s %s", reader->role, reader->path);
            }
            return cam_fail(err, CAM_CORRUPT,
                            "data %s %s: damaged gzip data before byte %" PRId64 " of the file: %s",
                            reader->role, reader->path, (int64_t)gzoffset(reader->gz),
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
