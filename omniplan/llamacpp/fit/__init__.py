"""What --fit chooses (common/fit.cpp)."""
