module bench;
  logic clk = 0;
  logic rst, noisy, clean, changed;

  debouncer dut (.clk(clk), .rst(rst), .noisy(noisy), .clean(clean), .changed(changed));

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [3:0] history;  // samples that differ from clean, the latest in bit 0
  logic want, want_changed;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic value);
    noisy = value;
    want_changed = 0;
    history = {history[2:0], value != want};
    if (rst) begin
      want = 0;
      history = 0;
    end else if (history == 4'b1111) begin
      want = !want;
      want_changed = 1;
      history = 0;
    end
    @(negedge clk);
    check("clean", clean, want);
    check("changed", changed, want_changed);
  endtask

  initial begin
    history = 0;
    want = 0;
    noisy = 0;
    rst = 1;
    @(negedge clk);
    cycle(1);
    rst = 0;
    repeat (3) cycle(1);
    cycle(0);
    repeat (6) cycle(1);
    repeat (3) cycle(0);
    cycle(1);
    repeat (9) cycle(0);
    repeat (3) cycle(1);
    rst = 1;  // three samples are forgotten
    cycle(1);
    rst = 0;
    repeat (5) cycle(1);
    repeat (3000) begin
      rst = random() % 128 == 0;
      cycle(random() % 4 == 0 ? !noisy : noisy);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
