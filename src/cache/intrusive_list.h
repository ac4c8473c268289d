#pragma once
// A doubly linked list whose links live in the elements: membership costs 16 bytes and no allocation,
// and an element leaves in constant time.

#include <cstddef>

namespace enhanced_gptcache::cache {

template <typename T>
struct ListHook {
  T* newer = nullptr;
  T* older = nullptr;
};

/// Thread rule: guarded by its owner. An element is in at most one list per hook.
template <typename T, ListHook<T> T::*kHook>
class IntrusiveList {
 public:
  T* newest() const { return newest_; }
  T* oldest() const { return oldest_; }
  size_t size() const { return size_; }
  static T* older_than(const T& element) { return (element.*kHook).older; }
  static T* newer_than(const T& element) { return (element.*kHook).newer; }

  void push_newest(T& element) {
    (element.*kHook) = {nullptr, newest_};
    (newest_ != nullptr ? (newest_->*kHook).newer : oldest_) = &element;
    newest_ = &element;
    ++size_;
  }
  void remove(T& element) {
    ListHook<T>& hook = element.*kHook;
    (hook.newer != nullptr ? (hook.newer->*kHook).older : newest_) = hook.older;
    (hook.older != nullptr ? (hook.older->*kHook).newer : oldest_) = hook.newer;
    hook = {};
    --size_;
  }

 private:
  T* newest_ = nullptr;
  T* oldest_ = nullptr;
  size_t size_ = 0;
};

}  // namespace enhanced_gptcache::cache
