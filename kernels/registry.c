#include "kernels/registry.h"

#include "kernels/reference/reference.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef const struct backend *backend_entry(void);

enum { MODULE_PATH_MAX = 4096 };

static enum cam_code open_module(const char *name, const char *path, const struct backend **out,
                                 struct cam_err *err)
{
    /* NODELETE: a module's threads (OpenMP) and thread-local memory outlive any owner. */
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (module == NULL) {
        return cam_fail(err, CAM_UNSUPPORTED, "backend %s cannot be opened: %s", name, dlerror());
    }
    backend_entry *entry = NULL;
    /* The form that POSIX gives for a function: ISO C has no cast from an object pointer. */
    *(void **)(&entry) = dlsym(module, BACKEND_SYMBOL);
    if (entry == NULL) {
        return cam_fail(err, CAM_UNSUPPORTED, "backend %s: %s has no function %s", name, path,
                        BACKEND_SYMBOL);
    }
    const struct backend *backend = entry();
    if (backend->version != BACKEND_VERSION) {
        return cam_fail(err, CAM_UNSUPPORTED,
                        "backend %s: %s was built for version %d of the interface; this is %d",
                        name, path, backend->version, BACKEND_VERSION);
    }
    *out = backend;
    return CAM_OK;
}

enum cam_code registry_find(const char *name, const char *module_dir, const struct backend **out,
                            struct cam_err *err)
{
    if (strcmp(name, reference_backend()->name) == 0) {
        *out = reference_backend();
        return CAM_OK;
    }
    char path[MODULE_PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/cambrian-backend-%s.so", module_dir, name);
    if (size < 0 || size >= (int)sizeof path || strchr(name, '/') != NULL) {
        return cam_fail(err, CAM_NOT_FOUND, "no backend %s: its name or folder cannot be a path",
                        name);
    }
    if (access(path, R_OK) != 0) {
        return cam_fail(err, CAM_NOT_FOUND,
                        "backend %s is not installed with this build (cambrian-backend-%s.so)",
                        name, name);
    }
    return open_module(name, path, out, err);
}
