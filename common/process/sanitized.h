// Whether a sanitizer's runtime lives in the process: it opens files, starts a process to look for
// leaks, and maps memory in ways that a locked-in child must not.
#pragma once

namespace sluice::process {

#ifndef __has_feature  // gcc has macros instead
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace sluice::process
