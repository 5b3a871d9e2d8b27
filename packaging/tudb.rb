# Template of the Homebrew formula. The release workflow replaces the words between @ signs.
class Tudb < Formula
  desc "Read-only MCP server for PostgreSQL and SQLite"
  homepage "https://github.com/@REPOSITORY@"
  version "@VERSION@"
  license "Apache-2.0"

  on_macos do
    on_arm do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/tudb-@VERSION@-darwin-arm64.tar.gz"
      sha256 "@SHA_DARWIN_ARM64@"
    end
    on_intel do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/tudb-@VERSION@-darwin-x64.tar.gz"
      sha256 "@SHA_DARWIN_X64@"
    end
  end
  on_linux do
    url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/tudb-@VERSION@-linux-x64.tar.gz"
    sha256 "@SHA_LINUX_X64@"
  end

  def install
    bin.install "tudb"
    man1.install Dir["man1/*"]
    bash_completion.install "completions/tudb.bash" => "tudb"
    zsh_completion.install "completions/tudb.zsh" => "_tudb"
    fish_completion.install "completions/tudb.fish"
  end

  test do
    assert_match "number_of_orders", shell_output("#{bin}/tudb ask 'number of orders per status'")
  end
end
