#include "model/names.h"

#include "model/layers/layer.h"
#include "model/losses/loss.h"
#include "model/losses/penalty.h"
#include "model/optim/optimizer.h"
#include "model/presets/preset.h"

#include <assert.h>

static void add(struct schema_list *list, const struct schema_type *type, size_t keys_max)
{
    assert(list->count < SCHEMA_TYPES_MAX);
    struct schema_type *row = &list->types[list->count++];
    *row = *type;
    while (row->key_count < keys_max && row->keys[row->key_count] != NULL) {
        row->key_count++;
    }
}

void model_names(struct schema_names *out)
{
    size_t count = 0;
    *out = (struct schema_names){0};
    const char *const *names = loss_names(&count);
    for (size_t i = 0; i < count; i++) {
        const struct schema_type type = {.name = names[i], .keys = loss_find(names[i])->keys};
        add(&out->losses, &type, LOSS_KEYS_MAX);
    }
    names = gan_augmentation_names(&count);
    for (size_t i = 0; i < count; i++) {
        add(&out->augmentations, &(struct schema_type){.name = names[i]}, 0);
    }
    names = penalty_names(&count);
    for (size_t i = 0; i < count; i++) {
        const struct schema_type type = {.name = names[i], .keys = penalty_find(names[i])->keys};
        add(&out->penalties, &type, PENALTY_KEYS_MAX);
    }
    names = layer_names(&count);
    for (size_t i = 0; i < count; i++) {
        const struct layer_type *layer = layer_find(names[i]);
        const struct schema_type type = {
            .name = layer->name, .keys = layer->keys, .shorthand = layer->shorthand != NULL};
        add(&out->layers, &type, LAYER_KEYS_MAX);
    }
    for (int i = 0; i < optimizer_count(); i++) {
        const struct optimizer *optimizer = optimizer_get(i);
        const struct schema_type type = {.name = optimizer->name, .keys = optimizer->keys};
        add(&out->optimizers, &type, OPTIMIZER_KEYS_MAX);
    }
    names = preset_names(&count);
    for (size_t i = 0; i < count; i++) {
        const struct schema_type type = {.name = names[i], .keys = preset_keys(names[i])};
        add(&out->presets, &type, PRESET_KEYS_MAX);
    }
}
