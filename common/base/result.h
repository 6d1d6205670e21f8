// Errors as values. Nothing of sluice throws: callbacks run under C frames, bad bytes from a
// network are ordinary, and a privileged process should show its failure paths.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

/// The kind of an error, for code that decides by it. People read Error::message.
enum class Errc : uint8_t {
  internal,      ///< a bug, or a state that should not occur
  system,        ///< a system call failed; sys_errno says how
  ipc_protocol,  ///< a process of ours broke the rules of the channel
  bad_input,     ///< what a person or a peer gave is wrong
  not_found,     ///< the thing named does not exist
  denied,        ///< understood, and refused
  unavailable,   ///< can't be done now (nothing can serve, a timeout)
  config,        ///< the configuration is wrong
};

/// What went wrong, ready to be logged as it is.
struct Error {
  Errc code = Errc::internal;
  int sys_errno = 0;    ///< errno of the failing call; 0 if none
  std::string message;  ///< "bind 0.0.0.0:3306: Address already in use"
};

template <class T = void>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected(Error{code, 0, std::move(message)});
}

/// An Error from errno, which is read first. `what` names the call and its object.
inline tl::unexpected<Error> fail_errno(std::string what) {
  const int saved = errno;
  what.append(": ").append(std::strerror(saved));
  return tl::unexpected(Error{Errc::system, saved, std::move(what)});
}

namespace detail {
template <class T>
auto try_value(T&& result) {
  if constexpr (!std::is_void_v<typename std::remove_reference_t<T>::value_type>)
    return *std::forward<T>(result);
}
}  // namespace detail

}  // namespace sluice

/// Value of `expr`, or returns its error from the enclosing function (GNU statement expression).
#define SLUICE_TRY(expr)                                                     \
  __extension__({                                                            \
    auto&& try_result_ = (expr);                                             \
    if (!try_result_) return tl::unexpected(std::move(try_result_).error()); \
    ::sluice::detail::try_value(std::move(try_result_));                     \
  })
