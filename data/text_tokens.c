#include "data/text_tokens.h"

#include "base/mem.h"
#include "data/reader.h"

#include <inttypes.h>
#include <string.h>

enum { PIECE_BYTES = 64 * 1024, CHARACTER_BYTES_MAX = 4 };

/* Pieces of the file, and the points that they give. */
struct pieces {
    uint8_t bytes[CHARACTER_BYTES_MAX + PIECE_BYTES]; /* in front: the start of a cut character */
    uint32_t points[CHARACTER_BYTES_MAX + PIECE_BYTES];
};

/*
 * The bytes of the first character, 0 where more of them are needed, -1 where they are no UTF-8:
 * longer than need be, a surrogate, past U+10FFFF (Unicode 15, table 3-7).
 */
static int decode(const uint8_t *bytes, int64_t available, uint32_t *point_out)
{
    static const struct {
        uint8_t first; /* at most */
        uint8_t least; /* second byte */
        uint8_t most;
        uint8_t count;
        uint8_t bits; /* of the first byte */
    } ROWS[] = {
        {0x7F, 0, 0, 1, 0x7F},       {0xC1, 1, 0, 1, 0},          {0xDF, 0x80, 0xBF, 2, 0x1F},
        {0xE0, 0xA0, 0xBF, 3, 0x0F}, {0xEC, 0x80, 0xBF, 3, 0x0F}, {0xED, 0x80, 0x9F, 3, 0x0F},
        {0xEF, 0x80, 0xBF, 3, 0x0F}, {0xF0, 0x90, 0xBF, 4, 0x07}, {0xF3, 0x80, 0xBF, 4, 0x07},
        {0xF4, 0x80, 0x8F, 4, 0x07},
    };
    size_t row = 0;
    while (row < sizeof ROWS / sizeof ROWS[0] && bytes[0] > ROWS[row].first) {
        row++;
    }
    if (row == sizeof ROWS / sizeof ROWS[0] || ROWS[row].bits == 0) {
        return -1;
    }
    uint32_t point = bytes[0] & ROWS[row].bits;
    for (int i = 1; i < ROWS[row].count; i++) {
        if (i >= available) {
            return 0;
        }
        uint8_t least = i == 1 ? ROWS[row].least : 0x80;
        uint8_t most = i == 1 ? ROWS[row].most : 0xBF;
        if (bytes[i] < least || bytes[i] > most) {
            return -1;
        }
        point = point << 6 | (bytes[i] & 0x3FU);
    }
    *point_out = point;
    return ROWS[row].count;
}

/* Turns what stands in bytes[0, size) into points; *used_out: bytes of whole characters. */
static int64_t decode_piece(struct pieces *pieces, int64_t size, bool characters, int64_t *used_out)
{
    int64_t count = 0;
    int64_t at = 0;
    while (at < size) {
        uint32_t point = pieces->bytes[at];
        int length = characters ? decode(pieces->bytes + at, size - at, &point) : 1;
        if (length <= 0) {
            *used_out = at;
            return length == 0 ? count : -1;
        }
        pieces->points[count++] = point;
        at += length;
    }
    *used_out = at;
    return count;
}

static enum cam_code not_utf8(const char *path, int64_t at, uint8_t byte, struct cam_err *err)
{
    return cam_fail(err, CAM_CORRUPT,
                    "data path %s: byte %" PRId64
                    " (%02x) is not UTF-8, which data.vocabulary characters needs; bytes takes any "
                    "file",
                    path, at, byte);
}

static enum cam_code read_pieces(struct reader *reader, bool characters, struct pieces *pieces,
                                 text_tokens_fn take, void *context, struct cam_err *err)
{
    int64_t before = 0; /* bytes of the file in front of bytes[0] */
    int64_t held = 0;
    int64_t got = PIECE_BYTES;
    enum cam_code rc = CAM_OK;
    while (rc == CAM_OK && got == PIECE_BYTES) {
        rc = reader_take(reader, pieces->bytes + held, PIECE_BYTES, &got, err);
        if (rc != CAM_OK) {
            break;
        }
        held += got;
        int64_t used = 0;
        int64_t count = decode_piece(pieces, held, characters, &used);
        if (count < 0 || (got < PIECE_BYTES && used < held)) {
            return not_utf8(reader->path, before + used, pieces->bytes[used], err);
        }
        rc = count > 0 ? take(context, pieces->points, count, err) : CAM_OK;
        held -= used;
        memmove(pieces->bytes, pieces->bytes + used, (size_t)held);
        before += used;
    }
    return rc;
}

enum cam_code text_tokens_read(const char *path, enum text_vocabulary vocabulary,
                               text_tokens_fn take, void *context, struct cam_err *err)
{
    struct reader reader = {.role = "path", .path = path};
    struct pieces *pieces = cam_alloc(1, sizeof *pieces);
    if (pieces == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "data path %s: out of memory", path);
    }
    enum cam_code rc = reader_open(&reader, READER_WHOLE, err);
    if (rc == CAM_OK) {
        rc = read_pieces(&reader, vocabulary == VOCABULARY_CHARACTERS, pieces, take, context, err);
    }
    reader_close(&reader);
    cam_free(pieces);
    return rc;
}

int text_tokens_utf8(uint32_t point, char out[5])
{
    static const uint8_t FIRST[] = {0, 0, 0xC0, 0xE0, 0xF0};
    int count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (int i = count - 1; i > 0; i--) {
        out[i] = (char)(0x80U | (point & 0x3FU));
        point >>= 6;
    }
    out[0] = (char)(FIRST[count] | point);
    out[count] = '\0';
    return count;
}
