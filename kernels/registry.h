/*
 * Finds a backend by name: "reference" is linked in, others are modules named
 * cambrian-backend-NAME.so in a folder of the caller's choice.
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include "base/status.h"
#include "kernels/backend.h"

/* The function that a module exports: const struct backend *cambrian_backend(void). */
#define BACKEND_SYMBOL "cambrian_backend"

/* CAM_NOT_FOUND where there is no such module, CAM_UNSUPPORTED with the loader's text where it
 * cannot be opened or is of another version.  A module stays open until the process ends. */
CAM_CHECKED enum cam_code registry_find(const char *name, const char *module_dir,
                                        const struct backend **out, struct cam_err *err);

#endif
