#include "worker/train/grid.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <png.h>
#include <string.h>

enum { COLUMNS = SAMPLE_COLUMNS, PNG_BYTES_MAX = 64 * 1024 * 1024 };

struct grid {
    const struct training *training;
    struct compiled own; /* as the training's, with this instance */
    struct compiled_plan plan;
    struct shape shape; /* (N,H,W,C) */
    float *activations;
    float *images;
    unsigned char *pixels;
};

enum cam_code grid_create(const struct compiled *compiled, const struct backend_options *options,
                          struct grid **out, struct cam_err *err)
{
    struct grid *grid = cam_alloc(1, sizeof *grid);
    if (grid == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the sample grid: out of memory");
    }
    struct backend_options single = *options;
    single.lanes = 1;
    grid->training = compiled->training;
    grid->own = *compiled;
    grid->own.instance = NULL;
    grid->shape = graph_node(grid->training->sample, grid->training->sample_node)->shape;
    int64_t count = shape_count(&grid->shape);
    enum cam_code rc = CAM_OK;
    if (!sample_is_point(&grid->shape) && grid->shape.dim[3] != 1 && grid->shape.dim[3] != 3) {
        rc = cam_fail(err, CAM_UNSUPPORTED, "images of %lld channels have no PNG (1 or 3 have)",
                      (long long)grid->shape.dim[3]);
    }
    if (rc == CAM_OK) {
        rc = compiled->backend->open(&single, &grid->own.instance, err);
    }
    if (rc == CAM_OK) {
        compiled->backend->lane_begin(grid->own.instance, 0);
        rc = compiled_sample(&grid->own, &grid->plan, err);
    }
    if (rc == CAM_OK) {
        grid->activations =
            cam_alloc_aligned((size_t)grid->plan.plan->activation_floats * sizeof(float));
        grid->images = cam_alloc_aligned((size_t)count * sizeof(float));
        grid->pixels = cam_alloc((size_t)count, 1);
        if (grid->activations == NULL || grid->images == NULL || grid->pixels == NULL) {
            rc = cam_fail(err, CAM_NO_MEMORY, "the sample grid: out of memory");
        }
    }
    if (rc != CAM_OK) {
        grid_destroy(grid);
        return rc;
    }
    *out = grid;
    return CAM_OK;
}

void grid_destroy(struct grid *grid)
{
    if (grid == NULL) {
        return;
    }
    compiled_release(grid->own.backend, &grid->plan);
    if (grid->own.instance != NULL) {
        grid->own.backend->close(grid->own.instance);
    }
    cam_free(grid->activations);
    cam_free(grid->images);
    cam_free(grid->pixels);
    cam_free(grid);
}

void grid_arrange(const float *images, const struct shape *shape, int columns, unsigned char *out)
{
    int64_t height = shape->dim[1];
    int64_t row = shape->dim[2] * shape->dim[3];
    for (int64_t n = 0; n < shape->dim[0]; n++) {
        unsigned char *tile = out + ((n / columns) * height * columns + n % columns) * row;
        for (int64_t y = 0; y < height; y++) {
            for (int64_t x = 0; x < row; x++) {
                float level = (images[(n * height + y) * row + x] + 1.0F) * 127.5F;
                level = level > 0.0F ? level : 0.0F; /* also where it is no number */
                tile[y * columns * row + x] =
                    level < 255.0F ? (unsigned char)(level + 0.5F) : (unsigned char)255;
            }
        }
    }
}

static enum cam_code write_png(const struct grid *grid, const char *path, struct cam_err *err)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION,
        .width = (png_uint_32)(grid->shape.dim[2] * COLUMNS),
        .height = (png_uint_32)(grid->shape.dim[1] * (grid->shape.dim[0] / COLUMNS)),
        .format = grid->shape.dim[3] == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB,
    };
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    void *bytes = size > PNG_BYTES_MAX ? NULL : cam_alloc(size, 1);
    if (bytes == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    enum cam_code rc = CAM_OK;
    if (png_image_write_to_memory(&image, bytes, &size, 0, grid->pixels, 0, NULL) == 0) {
        rc = cam_fail(err, CAM_INTERNAL, "%s: %s", path, image.message);
    } else {
        rc = cam_file_replace(path, bytes, size, 0600, err);
    }
    cam_free(bytes);
    return rc;
}

/* A line a point, with the digits that tell every float from its neighbours. */
static enum cam_code write_csv(const struct grid *grid, const char *path, struct cam_err *err)
{
    struct cam_text text = {0};
    int64_t channels = grid->shape.dim[3];
    for (int64_t i = 0; i < shape_count(&grid->shape); i++) {
        bool last = i % channels == channels - 1;
        cam_text_add(&text, "%.9g%c", (double)grid->images[i], last ? '\n' : ',');
    }
    enum cam_code rc = cam_text_ok(&text) ? cam_file_replace(path, text.bytes, text.size, 0600, err)
                                          : cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    cam_text_release(&text);
    return rc;
}

const char *grid_end(const struct grid *grid)
{
    return sample_is_point(&grid->shape) ? ".csv" : ".png";
}

enum cam_code grid_draw(struct grid *grid, const float *parameters, const float *buffers,
                        const char *path, struct cam_err *err)
{
    const struct backend *backend = grid->own.backend;
    const struct bindings bindings = {
        .parameters = parameters,
        .buffers = buffers,
        .activations = grid->activations,
        .output = grid->images,
    };
    const struct random_context random = {.seed = grid->training->seed};
    enum cam_code rc = backend->prepare(grid->plan.executable, &bindings, err);
    if (rc == CAM_OK) {
        rc = backend->launch(grid->plan.executable, 0, &bindings, &random, err);
    }
    if (rc == CAM_OK && sample_is_point(&grid->shape)) {
        rc = write_csv(grid, path, err);
    } else if (rc == CAM_OK) {
        grid_arrange(grid->images, &grid->shape, COLUMNS, grid->pixels);
        rc = write_png(grid, path, err);
    }
    return rc;
}
