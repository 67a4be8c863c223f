#include "base/digest.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

struct cam_digest {
    EVP_MD_CTX *context;
};

struct cam_digest *cam_digest_create(void)
{
    struct cam_digest *digest = cam_alloc(1, sizeof *digest);
    if (digest == NULL) {
        return NULL;
    }
    digest->context = EVP_MD_CTX_new();
    if (digest->context == NULL || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) {
        cam_digest_destroy(digest);
        return NULL;
    }
    return digest;
}

void cam_digest_destroy(struct cam_digest *digest)
{
    if (digest == NULL) {
        return;
    }
    EVP_MD_CTX_free(digest->context);
    cam_free(digest);
}

void cam_digest_add(struct cam_digest *digest, const void *bytes, size_t size)
{
    int ok = EVP_DigestUpdate(digest->context, bytes, size);
    assert(ok == 1);
    (void)ok;
}

void cam_digest_finish(struct cam_digest *digest, char hex_out[CAM_DIGEST_HEX_SIZE])
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char raw[CAM_DIGEST_BYTES];
    unsigned int size = 0;
    int ok = EVP_DigestFinal_ex(digest->context, raw, &size) == 1 && size == sizeof raw &&
             EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1;
    assert(ok);
    (void)ok;
    for (size_t i = 0; i < sizeof raw; i++) {
        hex_out[2 * i] = HEX[raw[i] >> 4];
        hex_out[2 * i + 1] = HEX[raw[i] & 15];
    }
    hex_out[2 * sizeof raw] = '\0';
}

enum cam_code cam_digest_of(const void *bytes, size_t size, char hex_out[CAM_DIGEST_HEX_SIZE],
                            struct cam_err *err)
{
    struct cam_digest *digest = cam_digest_create();
    if (digest == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "digest of %zu bytes: out of memory", size);
    }
    cam_digest_add(digest, bytes, size);
    cam_digest_finish(digest, hex_out);
    cam_digest_destroy(digest);
    return CAM_OK;
}

enum cam_code cam_digest_of_file(const char *path, char hex_out[CAM_DIGEST_HEX_SIZE],
                                 struct cam_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "%s: cannot open", path);
    }
    enum cam_code rc = cam_digest_of_open_file(fd, path, hex_out, err);
    (void)close(fd);
    return rc;
}

enum cam_code cam_digest_of_open_file(int fd, const char *path, char hex_out[CAM_DIGEST_HEX_SIZE],
                                      struct cam_err *err)
{
    enum { PIECE_BYTES = 64 * 1024 };
    enum cam_code rc = CAM_OK;
    struct cam_digest *digest = cam_digest_create();
    unsigned char *piece = cam_alloc(1, PIECE_BYTES);
    if (digest == NULL || piece == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "%s: digest: out of memory", path);
        goto out;
    }
    for (;;) {
        ssize_t got = read(fd, piece, PIECE_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            rc = cam_fail_errno(err, errno, "%s: cannot read", path);
            goto out;
        }
        if (got == 0) {
            break;
        }
        cam_digest_add(digest, piece, (size_t)got);
    }
    cam_digest_finish(digest, hex_out);
out:
    cam_free(piece);
    cam_digest_destroy(digest);
    return rc;
}
