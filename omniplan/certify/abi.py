"""The C declarations the certifying library is driven through: llama.h, llama-ext.h and ggml-backend-impl.h.

Enums are declared as the integers they are stored in. Every struct that crosses the border is checked against the
loaded library before it is used (``library.check``).
"""

from __future__ import annotations

from typing import Final

TYPES: Final = """
typedef struct ggml_backend_reg * reg_t;
typedef struct ggml_backend_device * dev_t;
typedef struct ggml_backend_buffer_type * buft_t;
typedef struct ggml_backend_buffer * buffer_t;
typedef struct ggml_backend * backend_t;
typedef struct ggml_backend_event * event_t;

struct ggml_tensor {
    int type; buffer_t buffer; int64_t ne[4]; size_t nb[4]; int op; int32_t op_params[16]; int32_t flags;
    struct ggml_tensor * src[10]; struct ggml_tensor * view_src; size_t view_offs; void * data; char name[64];
    void * extra; char padding[8];
};
typedef struct ggml_tensor * tensor_t;

struct ggml_cgraph {
    int size; int n_nodes; int n_leafs;
    tensor_t * nodes; tensor_t * grads; tensor_t * grad_accs; tensor_t * leafs; int32_t * use_counts;
    struct { size_t size; uint32_t * used; tensor_t * keys; } visited;
    int order; uint64_t uid;
};
typedef struct ggml_cgraph * graph_t;

struct ggml_backend_buffer_type {
    const char * (*get_name)(buft_t);
    buffer_t (*alloc_buffer)(buft_t, size_t);
    buffer_t (*alloc_buffer_n)(buft_t, tensor_t *, int); // since 11368
    size_t (*get_alignment)(buft_t);
    size_t (*get_max_size)(buft_t);
    size_t (*get_alloc_size)(buft_t, tensor_t);
    size_t (*get_alloc_size_n)(buft_t, tensor_t *, int); // since 11368
    bool (*is_host)(buft_t);
    dev_t device;
    void * context;
};

struct buffer_functions {
    void (*free_buffer)(buffer_t); void * (*get_base)(buffer_t); void * init_tensor;
    void (*memset_tensor)(buffer_t, tensor_t, uint8_t, size_t, size_t);
    void (*set_tensor)(buffer_t, tensor_t, const void *, size_t, size_t);
    void * get_tensor;
    void (*set_tensor_2d)(buffer_t, tensor_t, const void *, size_t, size_t, size_t, size_t, size_t);
    void * get_tensor_2d; void * cpy_tensor; void (*clear)(buffer_t, uint8_t); void * reset;
};
struct ggml_backend_buffer {
    struct buffer_functions functions; buft_t buft; void * context; size_t size; int usage;
};

struct optimize_params { void (*add_alloc_dep)(void *, tensor_t, tensor_t); void * user_data; };

struct ggml_backend {
    void * guid;
    const char * (*get_name)(backend_t);
    void (*free)(backend_t);
    void * transfers[4];
    void * cpy_tensor_async;
    void (*synchronize)(backend_t);
    void * plans[4];
    int (*graph_compute)(backend_t, graph_t);
    void (*event_record)(backend_t, event_t);
    void (*event_wait)(backend_t, event_t);
    void (*graph_optimize)(backend_t, graph_t); // until 10698
    void (*graph_optimize)(backend_t, graph_t, struct optimize_params *); // since 10698
    dev_t device;
    void * context;
};

struct ggml_backend_event { dev_t device; void * context; };

struct dev_props {
    const char * name; const char * description; size_t memory_free; size_t memory_total; int type;
    const char * device_id;
    bool async; bool host_buffer; bool buffer_from_host_ptr; bool events;
    bool mmap_support; // since 10380
};

struct ggml_backend_device {
    const char * (*get_name)(dev_t);
    const char * (*get_description)(dev_t);
    void (*get_memory)(dev_t, size_t *, size_t *);
    int (*get_type)(dev_t);
    void (*get_props)(dev_t, struct dev_props *);
    backend_t (*init_backend)(dev_t, const char *);
    buft_t (*get_buffer_type)(dev_t);
    buft_t (*get_host_buffer_type)(dev_t);
    void * buffer_from_host_ptr;
    bool (*supports_op)(dev_t, tensor_t);
    bool (*supports_buft)(dev_t, buft_t);
    bool (*offload_op)(dev_t, tensor_t);
    event_t (*event_new)(dev_t);
    void (*event_free)(dev_t, event_t);
    void (*event_synchronize)(dev_t, event_t);
    reg_t reg;
    void * context;
};

struct ggml_backend_reg {
    int api_version;
    const char * (*get_name)(reg_t);
    size_t (*get_device_count)(reg_t);
    dev_t (*get_device)(reg_t, size_t);
    void * (*get_proc_address)(reg_t, const char *);
    void * context;
};

struct kv_override { int tag; char key[128]; union { int64_t i; double f; bool b; char s[128]; } value; };
struct buft_override { const char * pattern; buft_t buft; };

struct llama_model_params {
    dev_t * devices; struct buft_override * tensor_buft_overrides;
    int32_t n_gpu_layers; int split_mode;
    int load_mode; // since 10108
    int lazy_mode; // since 10679
    int32_t main_gpu; float * tensor_split;
    void * progress_callback; void * progress_callback_user_data; struct kv_override * kv_overrides;
    bool vocab_only;
    bool use_mmap; bool use_direct_io; bool use_mlock; // until 10108
    bool check_tensors; bool use_extra_bufts; bool no_host; bool no_alloc;
    bool load_mtp; // since 10216
};

struct llama_context_params {
    uint32_t n_ctx; uint32_t n_batch; uint32_t n_ubatch; uint32_t n_seq_max;
    uint32_t n_rs_seq; // since 9246
    uint32_t n_outputs_max; // since 9464
    uint32_t n_outputs_max_per_seq; // since 10355
    int32_t n_threads; int32_t n_threads_batch;
    int ctx_type; // since 9246
    int rope_scaling_type; int pooling_type; int attention_type; int flash_attn_type;
    float rope_freq_base; float rope_freq_scale; float yarn_ext_factor; float yarn_attn_factor;
    float yarn_beta_fast; float yarn_beta_slow; uint32_t yarn_orig_ctx; float defrag_thold;
    void * cb_eval; void * cb_eval_user_data; int type_k; int type_v;
    size_t moe_cache_size; // since 11435
    void * abort_callback; void * abort_callback_data;
    bool embeddings; bool offload_kqv; bool no_perf; bool op_offload; bool swa_full; bool kv_unified;
    void * samplers; size_t n_samplers;
    void * ctx_other; // since 9553
};

struct init_params { size_t mem_size; void * mem_buffer; bool no_alloc; };

struct memory_node {
    int color; struct memory_node * parent; struct memory_node * left; struct memory_node * right;
    buft_t buft; size_t model; size_t context; size_t compute;
};
struct memory_map {
    char compare[8]; int color; struct memory_node * root; struct memory_node * left; struct memory_node * right;
    size_t count;
};

struct mtmd_params {
    bool use_gpu;
    dev_t device; // since 10549
    bool print_timings; int n_threads; const char * image_marker; const char * media_marker;
    int flash_attn_type; bool warmup; int image_min_tokens; int image_max_tokens;
    void * cb_eval; void * cb_eval_user_data;
    int32_t batch_max_tokens; // since 9621
    void * progress_callback; void * progress_callback_user_data; // since 9754
};
struct usage_node {
    int color; struct usage_node * parent; struct usage_node * left; struct usage_node * right;
    dev_t device; size_t size;
};
struct projector_usage {
    char compare[8]; int color; struct usage_node * root; struct usage_node * left; struct usage_node * right;
    size_t count; int image_max_tokens; bool use_non_causal;
};
"""

FUNCTIONS: Final = """
int _Z18llama_build_numberv(void);
void llama_backend_init(void);
void llama_log_set(void (*)(int, const char *, void *), void *);
struct llama_model_params llama_model_default_params(void);
struct llama_context_params llama_context_default_params(void);
void * llama_model_load_from_file(const char *, struct llama_model_params);
void * llama_init_from_model(void *, struct llama_context_params);
void * llama_adapter_lora_init(void *, const char *);
int32_t llama_set_adapters_lora(void *, void **, size_t, float *);
int32_t llama_set_adapter_cvec(void *, const float *, size_t, int32_t, int32_t, int32_t);
int32_t llama_model_n_embd(void *);
void _ZN13llama_context13sched_reserveEv(void *);
uint32_t llama_n_ctx(void *);
uint32_t llama_n_ubatch(void *);
uint32_t llama_n_seq_max(void *);
int32_t llama_model_n_layer(void *);
void ggml_backend_register(reg_t);
reg_t ggml_backend_reg_by_name(const char *);
const char * ggml_backend_reg_name(reg_t);
dev_t ggml_backend_reg_dev_get(reg_t, size_t);
const char * ggml_backend_dev_name(dev_t);
size_t ggml_backend_reg_dev_count(reg_t);
void ggml_backend_dev_get_props(dev_t, struct dev_props *);
buft_t ggml_backend_cpu_buffer_type(void);
buffer_t ggml_backend_buft_alloc_buffer(buft_t, size_t);
buffer_t ggml_backend_buffer_init(buft_t, struct buffer_functions, void *, size_t);
const char * ggml_backend_buft_name(buft_t);
bool ggml_backend_buft_is_host(buft_t);
const char * ggml_op_name(int);
const char * ggml_op_desc(tensor_t);
const char * ggml_type_name(int);
int64_t ggml_blck_size(int);
size_t ggml_type_size(int);
tensor_t * ggml_graph_nodes(graph_t);
int ggml_graph_n_nodes(graph_t);
void * ggml_init(struct init_params);
tensor_t ggml_new_tensor_2d(void *, int, int64_t, int64_t);
tensor_t ggml_mul_mat(void *, tensor_t, tensor_t);
graph_t ggml_new_graph(void *);
void ggml_build_forward_expand(graph_t, tensor_t);
size_t ggml_tensor_overhead(void);
struct mtmd_params mtmd_context_params_default(void);
void mtmd_log_set(void (*)(int, const char *, void *), void *);
void * _Z21mtmd_get_memory_usagePKc19mtmd_context_params(struct projector_usage *, const char *, struct mtmd_params);
struct memory_map _Z26llama_get_memory_breakdownPK13llama_context(void *);
"""
