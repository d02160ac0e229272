// Threads, barriers and shared memory of a GPU on one CPU thread.
//
// Every CUDA thread of a cluster (or of a block that is none) is a fiber. They take turns in a
// ring: a thread runs until it has to wait, then the next one of its warp, block or cluster does.
// When the turn comes round, all have arrived. So a barrier costs one switch a thread, and who waits
// for whom is known: a thread that waits elsewhere, or has ended, is found when the others arrive.
//
// A launch can take the ring backwards. A read that lacks its barrier finds in one of the two
// directions what was there before: NaN, if nothing was.

#include <sys/mman.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#if !(defined(__linux__) && defined(__x86_64__)) && !defined(EMULATED_UCONTEXT)
#define EMULATED_UCONTEXT
#endif
#ifdef EMULATED_UCONTEXT
#include <ucontext.h>
#endif

namespace {

constexpr int WARP = 32;
constexpr std::size_t STACK_BYTES = 128 << 10;
constexpr std::size_t GUARD_BYTES = 256;           // before, between and after the shared memories
constexpr std::uint16_t GUARD = 0xfffd;            // a NaN in every format, unlike...
constexpr int UNWRITTEN = 0xff;                    // ...the bytes of what nobody wrote, NaN as well
constexpr std::size_t VECTOR_BYTES = 16;
constexpr std::size_t MESSAGE_BYTES = 400;

// Where threads wait; the first ones are `Operation` of emulated_device.hpp.
enum Place { AT_BLOCK = 3, AT_CLUSTER, ENDED, NOT_STARTED };
constexpr const char* PLACES[] = {"exchange of int", "exchange of float", "exchange of double",
                                  "block_sync", "cluster_wait", "its end", "its start"};

// Fibers --------------------------------------------------------------------------------------

#ifdef EMULATED_UCONTEXT
typedef ucontext_t Context;
inline void switch_to(Context& from, Context& to) { swapcontext(&from, &to); }
#else
typedef void* Context;    // the stack pointer; all else lies on the stack
extern "C" void emulated_switch(Context* from, Context to);
inline void switch_to(Context& from, Context& to) { emulated_switch(&from, to); }
// What a call must keep in the System V ABI. The rounding mode is the same in all fibers.
asm(R"(
.text
.p2align 4
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
#endif

struct Block {
    long long index;
    unsigned char* shared;
    int ended;                 // threads
};

struct Copy {
    void* shared;
    const void* global;
};

struct Thread {
    Context context;
    Block* block;
    int index, rank;           // in the block; of the block in the cluster
    Thread *warp, *next_of_warp;    // in the order of the ring: the first one, the next one
    Thread *first_of_block, *next_of_block, *next_of_cluster;
    int place;
    unsigned exchanges;
    bool arrived;              // at the cluster's barrier
    std::uint64_t passed[2];   // in the last exchanges: who is ahead is ahead by one
    std::vector<Copy> copies;
};

struct Launch {
    void (*kernel)(const void*);
    const void* argument;
    int threads, cluster;
    std::size_t shared_bytes;
    bool backwards;
    long long grid;
};

Launch launch;
std::vector<Thread> threads;
std::vector<Block> blocks;
std::vector<unsigned char> memory;
std::vector<unsigned char*> stacks;
Context outside;
Thread* running;
char message[MESSAGE_BYTES];

// Leave the launch: the fibers are abandoned where they are.
[[noreturn]] void fail(const char* format, ...) {
    char text[MESSAGE_BYTES / 2];
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    std::snprintf(message, sizeof message, "thread %d of block %lld: %s", running->index,
                  running->block->index, text);
    switch_to(running->context, outside);
    __builtin_unreachable();
}

void run_next(Thread* next) {
    Thread* me = running;
    running = next;
    switch_to(me->context, next->context);
}

// Fail unless `first`, whose turn came before, waits in the same place. (It has been there as often:
// the turns before this one ended in meetings, too.)
void meet(const Thread* first) {
    const Thread* me = running;
    if (first->place != me->place) {
        fail("is at %s, but thread %d of block %lld is at %s", PLACES[me->place], first->index,
             first->block->index, PLACES[first->place]);
    }
}

void end_thread() {
    Thread* me = running;
    me->place = ENDED;
    if (!me->copies.empty()) fail("ended without waiting for its copies");
    if (me->arrived) fail("ended without waiting for its cluster");
    for (const Thread* first : {me->warp, me->first_of_block, threads.data()}) {
        if (first->place != ENDED) {
            fail("ended, but thread %d of block %lld waits at %s", first->index,
                 first->block->index, PLACES[first->place]);
        }
    }
    ++me->block->ended;
    if (me->next_of_cluster != threads.data()) {
        run_next(me->next_of_cluster);
    } else {
        switch_to(me->context, outside);
    }
}

void begin_thread() {
    launch.kernel(launch.argument);
    end_thread();
}

unsigned char* stack_of(std::size_t number) {
    while (stacks.size() <= number) {
        void* found = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (found == MAP_FAILED) return nullptr;
        mprotect(found, 4096, PROT_NONE);    // an overflow is a fault, not other threads' data
        stacks.push_back(static_cast<unsigned char*>(found));
    }
    return stacks[number];
}

void prepare(Context& context, unsigned char* stack) {
#ifdef EMULATED_UCONTEXT
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, begin_thread, 0);
#else
    // Six registers, where to return to, and the place of a return address that nobody uses: the
    // ABI wants the stack 8 bytes off a multiple of 16 where a function begins.
    void** top = reinterpret_cast<void**>(stack + STACK_BYTES) - 8;
    std::memset(top, 0, 8 * sizeof *top);
    top[6] = reinterpret_cast<void*>(begin_thread);
    context = top;
#endif
}

std::size_t spacing() { return launch.shared_bytes + GUARD_BYTES; }

bool guards_kept() {
    for (int i = 0; i <= launch.cluster; ++i) {
        const unsigned char* zone = memory.data() + i * spacing();
        for (std::size_t at = 0; at < GUARD_BYTES; at += sizeof GUARD) {
            if (std::memcmp(zone + at, &GUARD, sizeof GUARD) != 0) return false;
        }
    }
    return true;
}

// Run the blocks of one cluster, the first of them `first_block`.
bool run_cluster(long long first_block) {
    int count = launch.threads * launch.cluster;
    for (int rank = 0; rank < launch.cluster; ++rank) {
        unsigned char* shared = memory.data() + rank * spacing() + GUARD_BYTES;
        blocks[rank] = {first_block + rank, shared, 0};
        std::memset(shared, UNWRITTEN, launch.shared_bytes);
    }
    for (int i = 0; i <= launch.cluster; ++i) {
        unsigned char* zone = memory.data() + i * spacing();
        for (std::size_t at = 0; at < GUARD_BYTES; at += sizeof GUARD) {
            std::memcpy(zone + at, &GUARD, sizeof GUARD);
        }
    }
    Thread* ring = threads.data();
    for (int at = 0; at < count; ++at) {
        Thread& thread = ring[at];
        int number = launch.backwards ? count - 1 - at : at;
        int in_block = at % launch.threads, in_warp = at % WARP;
        thread.index = number % launch.threads;
        thread.rank = number / launch.threads;
        thread.block = &blocks[thread.rank];
        thread.warp = ring + at - in_warp;
        thread.next_of_warp = in_warp == WARP - 1 ? thread.warp : &thread + 1;
        thread.first_of_block = ring + at - in_block;
        thread.next_of_block =
            in_block == launch.threads - 1 ? thread.first_of_block : &thread + 1;
        thread.next_of_cluster = at == count - 1 ? ring : &thread + 1;
        thread.place = NOT_STARTED;
        thread.exchanges = 0;
        thread.arrived = false;
        thread.copies.clear();
        prepare(thread.context, stacks[at]);
    }
    message[0] = 0;
    running = ring;
    switch_to(outside, ring->context);
    if (message[0] == 0 && !guards_kept()) {
        std::snprintf(message, sizeof message,
                      "a block of blocks %lld to %lld wrote beside its shared memory", first_block,
                      first_block + launch.cluster - 1);
    }
    return message[0] == 0;
}

// Whether `bytes` at `address` are aligned for it and lie in the running block's shared memory.
bool in_shared_memory(const void* address, std::size_t bytes) {
    std::uintptr_t at = reinterpret_cast<std::uintptr_t>(address);
    std::uintptr_t base = reinterpret_cast<std::uintptr_t>(running->block->shared);
    return at % bytes == 0 && at >= base && at + bytes <= base + launch.shared_bytes;
}

}  // namespace

// What emulated_device.hpp calls --------------------------------------------------------------

extern "C" {

int emulated_thread_index() { return running->index; }
int emulated_block_threads() { return launch.threads; }
long long emulated_block_index() { return running->block->index; }
long long emulated_grid_blocks() { return launch.grid; }
int emulated_cluster_rank() { return running->rank; }
unsigned char* emulated_shared_memory() { return running->block->shared; }

std::uint64_t emulated_exchange(int operation, std::uint64_t value, int from) {
    Thread* me = running;
    if (from < 0 || from >= WARP) fail("asks lane %d of 32 for its value", from);
    unsigned round = ++me->exchanges;
    me->passed[round & 1] = value;
    me->place = operation;
    meet(me->warp);
    run_next(me->next_of_warp);
    return me->warp[launch.backwards ? WARP - 1 - from : from].passed[round & 1];
}

void emulated_block_sync() {
    Thread* me = running;
    me->place = AT_BLOCK;
    meet(me->warp);
    meet(me->first_of_block);
    run_next(me->next_of_block);
}

void emulated_cluster_arrive() {
    if (running->arrived) fail("arrives twice at the cluster's barrier");
    running->arrived = true;
}

void emulated_cluster_wait() {
    Thread* me = running;
    if (!me->arrived) fail("waits for its cluster without arriving");
    me->arrived = false;
    me->place = AT_CLUSTER;
    meet(me->warp);
    meet(me->first_of_block);
    meet(threads.data());
    run_next(me->next_of_cluster);
}

double emulated_cluster_read(const double* shared, int rank) {
    if (!in_shared_memory(shared, sizeof(double))) fail("reads what is not its shared memory");
    if (rank < 0 || rank >= launch.cluster) {
        fail("reads from block %d of a cluster of %d", rank, launch.cluster);
    }
    if (blocks[rank].ended) fail("reads from block %lld, which has ended", blocks[rank].index);
    const unsigned char* local = reinterpret_cast<const unsigned char*>(shared);
    double value;
    std::memcpy(&value, blocks[rank].shared + (local - running->block->shared), sizeof value);
    return value;
}

void emulated_start_copy(void* shared, const void* global) {
    if (!in_shared_memory(shared, VECTOR_BYTES)) {
        fail("copies to %p, which is not 16 aligned bytes of its shared memory", shared);
    }
    if (reinterpret_cast<std::uintptr_t>(global) % VECTOR_BYTES != 0) {
        fail("copies from %p, which is not aligned to 16 bytes", global);
    }
    std::memset(shared, UNWRITTEN, VECTOR_BYTES);
    running->copies.push_back({shared, global});
}

void emulated_wait_for_copies() {
    for (const Copy& copy : running->copies) std::memcpy(copy.shared, copy.global, VECTOR_BYTES);
    running->copies.clear();
}

// Run `grid` blocks, `cluster` at a time; what went wrong, or null.
__attribute__((visibility("default"))) const char* emulated_launch(
    void* kernel, const void* argument, long long grid, int block, long long shared_bytes,
    int cluster, int backwards) {
    launch = {reinterpret_cast<void (*)(const void*)>(kernel), argument, block, cluster,
              static_cast<std::size_t>(shared_bytes), backwards != 0, grid};
    std::size_t count = static_cast<std::size_t>(block) * cluster;
    if (stack_of(count - 1) == nullptr) return "no memory for the threads' stacks";
    if (threads.size() < count) threads.resize(count);
    blocks.resize(cluster);
    // 256-byte guards and 16-byte regions keep the alignment that the allocator gives.
    memory.resize((cluster + 1) * GUARD_BYTES + cluster * launch.shared_bytes);
    for (long long first = 0; first < grid; first += cluster) {
        if (!run_cluster(backwards ? grid - cluster - first : first)) return message;
    }
    return nullptr;
}

}  // extern "C"
