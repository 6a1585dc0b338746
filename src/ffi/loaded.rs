//! A plugin that was opened: its descriptor, checked once, and its functions as a handler of jobs.
//!
//! Invariant: its functions are called in the order the header promises, and nothing else of the descriptor is looked at
//! after it was read. A shared object stays open for good: what it started may still run its code.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem;
use std::ptr;
use std::thread;

use bytes::Bytes;

use crate::api::hooks::Fault;
use crate::api::slots::{Handler, Slot};
use crate::api::{Job, Options, Retry};
use crate::ffi::arg;
use crate::ffi::buffer::forebay_buffer_t;
use crate::ffi::job::forebay_job_t;
use crate::ffi::options::forebay_options_t;
use crate::ffi::plugin::{FOREBAY_PLUGIN_ABI, forebay_plugin_t};
use crate::ffi::submit::forebay_frame_t;
use crate::ffi::usage::Usage;
use crate::model::{Body, Failure, Status};

/// What forebay_plugin_t had in the first release.
const FIRST_RELEASE: usize = 80;
const _: () =
    assert!(size_of::<usize>() != 8 || mem::offset_of!(forebay_plugin_t, retrieve) == FIRST_RELEASE);
/// The largest `struct_size` that is believed.
const STRUCT_SIZE_MAX: usize = 1_024;
/// Bytes of a reason that a plugin gives for not beginning.
const WHY_LEN_MAX: usize = 512;
/// The most texts in a list of a plugin; more is a list without its NULL.
const TEXTS_MAX: usize = 4_096;

/// A plugin's descriptor as it was read.
struct Described {
    name: String,
    queues: Vec<String>,
    params: Vec<Param>,
    functions: forebay_plugin_t,
}

/// A parameter as its plugin declares it.
struct Param {
    name: String,
    default: Option<String>,
}

/// A plugin that has begun.
struct Plugin {
    name: String,
    queues: Vec<String>,
    functions: forebay_plugin_t,
    /// What process_init left.
    process: *mut c_void,
    /// Other slots are threads of the same process.
    shares: bool,
    /// What process_init was given, which it may keep.
    _params: Box<forebay_options_t>,
}

// SAFETY: the header says that a plugin's functions are called by many threads at once.
unsafe impl Sync for Plugin {}

/// A plugin on one thread.
struct PluginSlot<'a> {
    plugin: &'a Plugin,
    /// What thread_init left.
    thread: *mut c_void,
}

/// What a plugin says of itself before it begins.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name, for people.
    pub name: String,
    /// The queues whose jobs it handles.
    pub queues: Vec<String>,
    /// The names of its parameters.
    pub params: Vec<String>,
}

/// Opens the plugin in a file, which stays open, and reads what it says of itself. None of its functions is called but the one that
/// tells that.
///
/// # Errors
/// As for forebay_host_run.
pub fn declared(path: &str) -> Result<Declared, Failure> {
    let Described { name, queues, params, .. } = describe(path)?;
    Ok(Declared { name, queues, params: params.into_iter().map(|param| param.name).collect() })
}

/// Opens plugins and lets each begin. Parameters go to those that declare them.
pub(super) fn open_all(
    paths: &[String],
    slots: u32,
    options: &Options,
) -> Result<Vec<Box<dyn Handler>>, Failure> {
    if paths.is_empty() {
        return Err(Failure::new(Status::Option, "host.load names no plugin"));
    }
    let found = paths.iter().map(|path| describe(path)).collect::<Result<Vec<_>, _>>()?;
    let given = options.params();
    let declares = |name: &str| found.iter().flat_map(|one| &one.params).any(|param| param.name == name);
    if let Some((name, _)) = given.iter().find(|(name, _)| !declares(name)) {
        let known: Vec<_> = found.iter().flat_map(|one| &one.params).map(|param| &*param.name).collect();
        let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
        return Err(Failure::new(
            Status::Option,
            format!("param.{name}: no plugin declares this parameter; right would be: {known}"),
        ));
    }
    found
        .into_iter()
        .map(|one| Ok(Box::new(Plugin::begin(one, slots > 1, &given)?) as Box<dyn Handler>))
        .collect()
}

/// Opens a shared object and reads what it says of itself.
fn describe(path: &str) -> Result<Described, Failure> {
    if !path.starts_with('/') {
        return Err(Failure::new(
            Status::Option,
            format!("host.load = \"{path}\": right would be an absolute path; plugins are not searched for"),
        ));
    }
    let functions = descriptor(path)?;
    // SAFETY: the descriptor's texts are what the header says; who names a plugin answers for it.
    let (name, queues, params) = unsafe {
        (
            arg::text(functions.name, "name").map(str::to_owned),
            texts(functions.queues, 1, "queues"),
            texts(functions.params, 3, "params"),
        )
    };
    let wrong = |failure: Failure| refused(path, &failure.message);
    if functions.handle.is_none() {
        return Err(refused(path, "handle is NULL"));
    }
    let param =
        |row: &[Option<String>]| Param { name: row[0].clone().unwrap_or_default(), default: row[1].clone() };
    Ok(Described {
        name: name.map_err(wrong)?,
        queues: queues.map_err(wrong)?.into_iter().flatten().collect(),
        params: params.map_err(wrong)?.chunks_exact(3).map(param).collect(),
        functions,
    })
}

/// A plugin that says something wrong about itself.
fn refused(path: &str, why: &str) -> Failure {
    Failure::new(Status::Unsupported, format!("plugin {path}: its descriptor is wrong: {why}"))
}

/// The descriptor of the plugin in this file, what it does not have as zeros.
fn descriptor(path: &str) -> Result<forebay_plugin_t, Failure> {
    let file = CString::new(path).map_err(|_| Failure::new(Status::Option, "host.load has a NUL"))?;
    // SAFETY: opening a shared object runs its initialisers; who names a plugin answers for it.
    let object = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if object.is_null() {
        return Err(Failure::new(
            Status::Option,
            format!("plugin {path} cannot be opened: {}", loader_said()),
        ));
    }
    // SAFETY: a name with a NUL, and an object that is open.
    let shows = |name: &CStr| unsafe { libc::dlsym(object, name.as_ptr()) };
    let entry = shows(c"forebay_plugin_v1");
    if entry.is_null() {
        let why = if shows(c"forebay_plugin_v2").is_null() {
            "it shows no forebay_plugin_v1; `forebay new-plugin` writes one that does"
        } else {
            "it is for a later forebay: it shows forebay_plugin_v2, and this one looks for forebay_plugin_v1"
        };
        return Err(Failure::new(Status::Unsupported, format!("{path} is no plugin: {why}")));
    }
    // SAFETY: the header declares the symbol of this name as such a function.
    let entry: extern "C" fn() -> *const forebay_plugin_t = unsafe { mem::transmute(entry) };
    // SAFETY: NULL, or a descriptor that lives as long as the object is open.
    unsafe { read(entry(), path) }
}

/// What the loader says of its last failure.
fn loader_said() -> String {
    // SAFETY: the text is copied before this thread calls the loader again.
    let said = unsafe { libc::dlerror() };
    if said.is_null() {
        return "the loader does not say why".to_owned();
    }
    // SAFETY: not NULL, and a text.
    unsafe { CStr::from_ptr(said) }.to_string_lossy().into_owned()
}

/// Reads a descriptor of this ABI.
///
/// # Safety
/// `at` is NULL or as many bytes as its `struct_size` says.
unsafe fn read(at: *const forebay_plugin_t, path: &str) -> Result<forebay_plugin_t, Failure> {
    if at.is_null() {
        return Err(refused(path, "forebay_plugin_v1 answers NULL"));
    }
    // SAFETY: the two numbers are in every version.
    let (size, abi) = unsafe { ((*at).struct_size as usize, (*at).abi) };
    if abi != FOREBAY_PLUGIN_ABI {
        return Err(Failure::new(
            Status::Unsupported,
            format!(
                "plugin {path} is made for plugin ABI {abi}; this forebay ({}) has {FOREBAY_PLUGIN_ABI}. {}",
                env!("CARGO_PKG_VERSION"),
                if abi == 0 {
                    "Its descriptor has to say .abi = FOREBAY_PLUGIN_ABI"
                } else {
                    "Build it against the header of this one, or load it with the forebay it was built for"
                }
            ),
        ));
    }
    if !(FIRST_RELEASE..=STRUCT_SIZE_MAX).contains(&size) {
        return Err(refused(
            path,
            &format!("struct_size is {size}; right would be sizeof(forebay_plugin_t)"),
        ));
    }
    let known = size.min(size_of::<forebay_plugin_t>());
    // SAFETY: `size` bytes are there; pointers and functions may be NULL, so zeros are a descriptor.
    let (descriptor, tail) = unsafe {
        let mut descriptor: forebay_plugin_t = mem::zeroed();
        ptr::copy_nonoverlapping(at.cast::<u8>(), (&raw mut descriptor).cast(), known);
        (descriptor, std::slice::from_raw_parts(at.cast::<u8>().add(known), size - known))
    };
    if tail.iter().any(|byte| *byte != 0) {
        let text =
            format!("plugin {path} uses a field that came after version {}", env!("CARGO_PKG_VERSION"));
        return Err(Failure::new(Status::Unsupported, text));
    }
    Ok(descriptor)
}

/// The texts of a list in rows of `width`, ended by a row that begins with NULL; other NULLs are `None`.
///
/// # Safety
/// `list` is NULL or such a list.
unsafe fn texts(
    list: *const *const c_char,
    width: usize,
    name: &str,
) -> Result<Vec<Option<String>>, Failure> {
    let mut found = Vec::new();
    // SAFETY: the caller's promise, and so below.
    while !list.is_null() && !unsafe { *list.add(found.len()) }.is_null() {
        for _ in 0..width {
            let text = unsafe { arg::text_if_any(*list.add(found.len()), name) }?;
            found.push(text.map(str::to_owned));
        }
        if found.len() > TEXTS_MAX {
            return Err(Failure::new(Status::Argument, format!("{name} has no NULL at its end")));
        }
    }
    Ok(found)
}

/// Bytes as the header has them; lent.
fn frame(bytes: &Bytes) -> forebay_frame_t {
    forebay_frame_t { data: bytes.as_ptr().cast(), len: bytes.len() }
}

/// Calls a function of a plugin's store, which leaves a buffer or says why not.
fn hook(
    plugin: &str,
    function: &str,
    call: impl FnOnce(*mut *mut forebay_buffer_t, *mut c_char, usize) -> i32,
) -> Result<Option<Bytes>, Box<Fault>> {
    let mut left: *mut forebay_buffer_t = ptr::null_mut();
    let mut why = [0_u8; WHY_LEN_MAX];
    let answer = call(&raw mut left, why.as_mut_ptr().cast(), WHY_LEN_MAX - 1);
    // SAFETY: NULL, or a buffer that the plugin has handed over.
    let bytes = unsafe { left.as_ref() }.map(forebay_buffer_t::bytes);
    if !left.is_null() {
        // SAFETY: as above; what was taken of it keeps its bytes.
        unsafe { arg::take_back(left) };
    }
    if answer == 0 {
        return Ok(bytes);
    }
    let why = CStr::from_bytes_until_nul(&why).unwrap_or_default().to_string_lossy();
    let why = if why.is_empty() { "it does not say why" } else { &*why };
    Err(failed(function, format!("plugin {plugin}: {function} answered {answer}: {why}")))
}

/// An attempt that fails by its store.
fn failed(function: &str, message: String) -> Box<Fault> {
    Box::new(Fault { retry: Retry::Policy, code: format!("{function}_failed"), message, ..Fault::default() })
}

/// Calls an init function, which leaves something or says why not.
fn begin(
    plugin: &str,
    function: &str,
    init: impl FnOnce(*mut *mut c_void, *mut c_char, usize) -> c_int,
) -> Result<*mut c_void, Failure> {
    let mut left = ptr::null_mut();
    let mut why = [0_u8; WHY_LEN_MAX];
    let answer = init(&raw mut left, why.as_mut_ptr().cast(), WHY_LEN_MAX - 1);
    if answer == 0 {
        return Ok(left);
    }
    let why = CStr::from_bytes_until_nul(&why).unwrap_or_default().to_string_lossy();
    let why = if why.is_empty() { "it does not say why" } else { &*why };
    Err(Failure::new(Status::State, format!("plugin {plugin}: {function} answered {answer}: {why}")))
}

impl Plugin {
    /// Lets a plugin begin with what was given of its parameters.
    fn begin(found: Described, shares: bool, given: &[(String, Vec<u8>)]) -> Result<Plugin, Failure> {
        let Described { name, queues, params, functions } = found;
        let mut options = Options::new();
        for Param { name: param, default } in &params {
            let said = given.iter().find(|(known, _)| known == param).map(|(_, value)| value.as_slice());
            let Some(value) = said.or(default.as_deref().map(str::as_bytes)) else {
                let text = format!("plugin {name} has to be given its parameter {param}");
                return Err(Failure::new(Status::Option, text));
            };
            options.set_bytes(&format!("param.{param}"), value)?;
        }
        let params = Box::new(forebay_options_t::of(options));
        let process = match functions.process_init {
            // SAFETY: what the header says of process_init; the parameters live as long as the plugin.
            Some(init) => begin(&name, "process_init", |process, why, cap| unsafe {
                init(&raw const *params, process, why, cap)
            })?,
            None => ptr::null_mut(),
        };
        Ok(Plugin { name, queues, functions, process, shares, _params: params })
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(fini) = self.functions.process_fini {
            // SAFETY: process_init went well, and no thread of the host is left.
            unsafe { fini(self.process) };
        }
    }
}

impl Handler for Plugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn queues(&self) -> &[String] {
        &self.queues
    }

    fn begin(&self, slot: u32) -> Result<Box<dyn Slot + '_>, Failure> {
        let thread = match self.functions.thread_init {
            // SAFETY: what the header says of thread_init.
            Some(init) => begin(&self.name, "thread_init", |thread, why, cap| unsafe {
                init(self.process, slot, thread, why, cap)
            })?,
            None => ptr::null_mut(),
        };
        Ok(Box::new(PluginSlot { plugin: self, thread }))
    }
}

impl Slot for PluginSlot<'_> {
    fn handle(&mut self, job: Job) {
        let Some(handle) = self.plugin.functions.handle else { return };
        let held = job.again();
        held.measure(self.facts());
        let job = forebay_job_t::give(job);
        let is_there = self.retrieve(&held, job);
        self.save(&held);
        // SAFETY: what the header says of handle.
        let answer = if is_there { unsafe { handle(job, self.plugin.process, self.thread) } } else { 0 };
        if !held.is_answered() {
            let name = &self.plugin.name;
            let message = match answer {
                0 => format!("plugin {name} returned without an answer"),
                _ => format!("plugin {name} returned {answer} without an answer"),
            };
            // Refused when the job is another's by now: then nobody waits for this answer.
            let _ = held.fail(Retry::Policy, "abandoned", &message, "");
        }
        // SAFETY: it was given out above, and the plugin has returned.
        unsafe { arg::take_back(job) };
    }
}

impl PluginSlot<'_> {
    /// Has what the payload stands for fetched, if the plugin does that and nobody has. False: the job was answered as failed.
    fn retrieve(&self, held: &Job, job: *mut forebay_job_t) -> bool {
        let Some(retrieve) = self.plugin.functions.retrieve.filter(|_| !held.is_stood_for()) else {
            return true;
        };
        let fetched = hook(&self.plugin.name, "retrieve", |value, why, cap| {
            // SAFETY: what the header says of retrieve.
            unsafe { retrieve(job, self.plugin.process, self.thread, value, why, cap) }
        });
        let fetched = fetched.and_then(|value| {
            let nothing = || {
                failed("retrieve", format!("plugin {}: retrieve left nothing in *value", self.plugin.name))
            };
            value.ok_or_else(nothing)
        });
        match fetched {
            Ok(value) => {
                held.stand_for(Body::one(value));
                true
            }
            Err(fault) => {
                // Refused when the job is another's by now: then nobody waits for this answer.
                let _ = held.fail(fault.retry, &fault.code, &fault.message, &fault.detail);
                false
            }
        }
    }

    /// Has a result put away, if the plugin does that and nobody else.
    fn save(&self, held: &Job) {
        let Some(save) = self.plugin.functions.save else { return };
        let key = held.submitted();
        let name = self.plugin.name.clone();
        // As numbers: whatever thread answers only hands them back.
        let (process, own) = (self.plugin.process.expose_provenance(), self.thread.expose_provenance());
        let own_thread = thread::current().id();
        held.save(move |result, _| {
            let frames: Vec<forebay_frame_t> = result.0.iter().map(frame).collect();
            let key = frame(&key);
            let process = ptr::with_exposed_provenance_mut(process);
            let is_own = thread::current().id() == own_thread;
            let own = if is_own { ptr::with_exposed_provenance_mut(own) } else { ptr::null_mut() };
            let instead = hook(&name, "save", |instead, why, cap| {
                // SAFETY: what the header says of save; key and frames live until it returns.
                unsafe {
                    save(&raw const key, frames.as_ptr(), frames.len(), process, own, instead, why, cap)
                }
            })?;
            Ok(Body::one(instead.unwrap_or_default()))
        });
    }

    /// What the attempt that begins now will have used.
    fn facts(&self) -> impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static {
        let (shares, begun_on) = (self.plugin.shares, thread::current().id());
        let count = move || if shares { Usage::of_thread() } else { Usage::of_process() };
        let before = count();
        // Of a process with several slots the thread alone is known, and an answer may come from another.
        let is_known = move || !shares || thread::current().id() == begun_on;
        move || if is_known() { count().since(before).facts() } else { Vec::new() }
    }
}

impl Drop for PluginSlot<'_> {
    fn drop(&mut self) {
        if let Some(fini) = self.plugin.functions.thread_fini {
            // SAFETY: thread_init went well on this thread, and its last job is handled.
            unsafe { fini(self.plugin.process, self.thread) };
        }
    }
}
