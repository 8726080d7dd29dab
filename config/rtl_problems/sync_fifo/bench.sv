module bench;
  logic       clk = 0;
  logic       rst_n, write, read, empty, full, overflow, underflow;
  logic [7:0] write_data, read_data;
  logic [3:0] level;

  sync_fifo dut (
    .clk(clk), .rst_n(rst_n), .write(write), .write_data(write_data), .read(read), .read_data(read_data), .empty(empty),
    .full(full), .level(level), .overflow(overflow), .underflow(underflow)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [7:0] model[0:16383];
  int         written, taken, count;
  logic       lost, missed;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    count = written - taken;
    check("level", level, count);
    check("empty", empty, count == 0);
    check("full", full, count == 8);
    check("overflow", overflow, lost);
    check("underflow", underflow, missed);
    if (count > 0) check("read_data", read_data, model[taken]);
  endtask

  task automatic cycle(input logic put, input logic take);
    write = put;
    read = take;
    write_data = 8'(random());
    #1 outputs();
    if (put && count == 8) lost = 1;
    if (take && count == 0) missed = 1;
    if (put && count < 8) begin
      model[written] = write_data;
      written++;
    end
    if (take && count > 0) taken++;
    @(negedge clk);
    outputs();
  endtask

  task automatic reset;
    #1 rst_n = 0;
    written = 0;
    taken = 0;
    lost = 0;
    missed = 0;
    #1 outputs();
    @(negedge clk);
    outputs();
    rst_n = 1;
  endtask

  initial begin
    {write, read, write_data} = '0;
    rst_n = 1;
    @(negedge clk);
    reset();
    cycle(1, 1);  // a read of the empty queue fails, the write does not
    repeat (9) cycle(1, 0);
    cycle(1, 1);  // a write to the full queue fails, the read does not
    repeat (20) cycle(1, 1);
    repeat (9) cycle(0, 1);
    reset();
    repeat (3) cycle(1, 0);
    repeat (30) cycle(1, 1);
    repeat (60) begin
      repeat (random() % 40) cycle(random() % 4 != 0, random() % 3 == 0);
      repeat (random() % 40) cycle(random() % 3 == 0, random() % 4 != 0);
      if (random() % 4 == 0) reset();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
