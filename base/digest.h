/*
 * SHA-256 (OpenSSL), in one call or piece by piece.
 */
#ifndef CAM_DIGEST_H
#define CAM_DIGEST_H

#include "base/status.h"

#include <stddef.h>

enum { CAM_DIGEST_BYTES = 32, CAM_DIGEST_HEX_SIZE = 65 };

struct cam_digest; /* one thread at a time */

/* NULL when memory is short. */
struct cam_digest *cam_digest_create(void);
void cam_digest_destroy(struct cam_digest *digest);
void cam_digest_add(struct cam_digest *digest, const void *bytes, size_t size);

/* Writes the digest of all that was added as zero-terminated lower-case hex and starts anew. */
void cam_digest_finish(struct cam_digest *digest, char hex_out[CAM_DIGEST_HEX_SIZE]);

/* The digest of size bytes.  CAM_NO_MEMORY is the only failure. */
CAM_CHECKED enum cam_code cam_digest_of(const void *bytes, size_t size,
                                        char hex_out[CAM_DIGEST_HEX_SIZE], struct cam_err *err);

/* The digest of a whole file; CAM_NOT_FOUND, CAM_DENIED or CAM_IO name the path. */
CAM_CHECKED enum cam_code cam_digest_of_file(const char *path, char hex_out[CAM_DIGEST_HEX_SIZE],
                                             struct cam_err *err);

/* The same of a file that is open, from where it stands to its end; path is for errors. */
CAM_CHECKED enum cam_code cam_digest_of_open_file(int fd, const char *path,
                                                  char hex_out[CAM_DIGEST_HEX_SIZE],
                                                  struct cam_err *err);

#endif
