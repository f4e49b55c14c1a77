// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "peermr/error.hpp"
#include "peermr/export.hpp"

namespace peermr {

template <typename T>
class Result;

namespace detail {

template <typename T>
inline constexpr bool kIsResult = false;
template <typename T>
inline constexpr bool kIsResult<Result<T>> = true;

/// Logs the error's message and ends the program: value() of a Result that holds an error.
[[noreturn]] PEERMR_API void bad_result_access(const Error& error) noexcept;
/// error() of a Result that holds a value.
[[noreturn]] PEERMR_API void bad_error_access() noexcept;

}  // namespace detail

/// A T, or the Error that says why there is none. Member names are those of C++23's std::expected,
/// with these differences: nothing throws (value() of an error ends the program with its message),
/// and an Error converts implicitly, so that `return errno_error(...)` works.
///
/// Not thread-safe by itself, like any value.
template <typename T>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T> && !std::same_as<std::remove_cv_t<T>, Error>);

 public:
  using value_type = T;
  using error_type = Error;

  Result(Error error) : storage_(std::in_place_index<1>, std::move(error)) {}

  template <typename U = T>
  requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Error> &&
           !detail::kIsResult<std::remove_cvref_t<U>>) Result(U&& value)
      : storage_(std::in_place_index<0>, std::forward<U>(value)) {}

  [[nodiscard]] bool has_value() const noexcept { return storage_.index() == 0; }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& value() & {
    check_value();
    return *std::get_if<0>(&storage_);
  }
  [[nodiscard]] const T& value() const& {
    check_value();
    return *std::get_if<0>(&storage_);
  }
  [[nodiscard]] T&& value() && {
    check_value();
    return std::move(*std::get_if<0>(&storage_));
  }

  [[nodiscard]] T& operator*() & { return value(); }
  [[nodiscard]] const T& operator*() const& { return value(); }
  [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }
  [[nodiscard]] T* operator->() { return std::addressof(value()); }
  [[nodiscard]] const T* operator->() const { return std::addressof(value()); }

  [[nodiscard]] const Error& error() const& {
    check_error();
    return *std::get_if<1>(&storage_);
  }
  [[nodiscard]] Error&& error() && {
    check_error();
    return std::move(*std::get_if<1>(&storage_));
  }

  template <typename U>
  [[nodiscard]] T value_or(U&& other) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(other));
  }
  template <typename U>
  [[nodiscard]] T value_or(U&& other) && {
    return has_value() ? *std::move(*this) : static_cast<T>(std::forward<U>(other));
  }

  /// `function(T)` gives the next Result; an error passes through.
  template <typename F>
  [[nodiscard]] auto and_then(F&& function) && -> std::invoke_result_t<F, T&&> {
    if (!has_value()) return std::move(*this).error();
    return std::invoke(std::forward<F>(function), *std::move(*this));
  }

  /// `function(T)` gives the next value; an error passes through.
  template <typename F>
  [[nodiscard]] auto transform(F&& function) && -> Result<std::invoke_result_t<F, T&&>> {
    using U = std::invoke_result_t<F, T&&>;
    if (!has_value()) return std::move(*this).error();
    if constexpr (std::is_void_v<U>) {
      std::invoke(std::forward<F>(function), *std::move(*this));
      return {};
    } else {
      return std::invoke(std::forward<F>(function), *std::move(*this));
    }
  }

  /// `function(Error)` gives the Result that takes the error's place.
  template <typename F>
  [[nodiscard]] Result or_else(F&& function) && {
    if (has_value()) return std::move(*this);
    return std::invoke(std::forward<F>(function), std::move(*this).error());
  }

 private:
  void check_value() const noexcept {
    if (!has_value()) [[unlikely]]
      detail::bad_result_access(*std::get_if<1>(&storage_));
  }
  void check_error() const noexcept {
    if (has_value()) [[unlikely]]
      detail::bad_error_access();
  }

  std::variant<T, Error> storage_;
};

/// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  Result() noexcept = default;
  Result(Error error) : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

  void value() const {
    if (error_) [[unlikely]]
      detail::bad_result_access(*error_);
  }

  [[nodiscard]] const Error& error() const& {
    if (!error_) [[unlikely]]
      detail::bad_error_access();
    return *error_;
  }
  [[nodiscard]] Error&& error() && {
    if (!error_) [[unlikely]]
      detail::bad_error_access();
    return std::move(*error_);
  }

  template <typename F>
  [[nodiscard]] auto and_then(F&& function) && -> std::invoke_result_t<F> {
    if (error_) return std::move(*error_);
    return std::invoke(std::forward<F>(function));
  }

  template <typename F>
  [[nodiscard]] Result or_else(F&& function) && {
    if (!error_) return {};
    return std::invoke(std::forward<F>(function), std::move(*error_));
  }

 private:
  std::optional<Error> error_;
};

}  // namespace peermr
