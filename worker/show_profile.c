#include "worker/show_profile.h"

#include "base/text.h"
#include "kernels/registry.h"
#include "worker/train/identity.h"

enum cam_code show_profile(const struct worker_options *options, const char *test, FILE *out,
                           struct cam_err *err)
{
    const struct backend_options open_options = {
        .lanes = 1, .threads_per_shard = 1, .native_isa = options->native_isa};
    struct identity_numbers numbers = {.test = test};
    struct backend_instance *instance = NULL;
    struct cam_text text = {0};
    enum cam_code rc = registry_find(options->backend, options->backend_dir, &numbers.backend, err);
    if (rc == CAM_OK) {
        rc = numbers.backend->open(&open_options, &instance, err);
    }
    if (rc == CAM_OK) {
        numbers.instance = instance;
        rc = identity_profile(&numbers, &text, err);
    }
    if (rc == CAM_OK) {
        (void)fprintf(out, "%s\n", text.bytes);
    }
    if (instance != NULL) {
        numbers.backend->close(instance);
    }
    cam_text_release(&text);
    return rc;
}
