module bench;
  logic       clk = 0;
  logic       rst, in_valid, in_ready, out_valid, out_ready;
  logic [7:0] in_data, out_data;

  skid_buffer dut (
    .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data), .out_valid(out_valid),
    .out_ready(out_ready), .out_data(out_data)
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
  logic [7:0] words[0:16383];
  int         entered, left;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("in_ready", in_ready, entered - left < 2);
    check("out_valid", out_valid, entered > left);
    if (entered > left) check("out_data", out_data, words[left]);
  endtask

  task automatic cycle(input logic put, input logic take);
    in_valid = put;
    out_ready = take;
    in_data = 8'(random());
    #1 outputs();
    if (rst) begin
      entered = 0;
      left = 0;
    end else begin
      put = put && entered - left < 2;
      take = take && entered > left;
      if (put) begin
        words[entered] = in_data;
        entered++;
      end
      if (take) left++;
    end
    @(negedge clk);
    outputs();
  endtask

  initial begin
    {in_valid, in_data, out_ready} = '0;
    rst = 1;
    @(negedge clk);
    entered = 0;
    left = 0;
    cycle(1, 1);
    rst = 0;
    cycle(0, 1);
    repeat (20) cycle(1, 1);  // one word in each cycle
    repeat (4) cycle(1, 0);
    repeat (4) cycle(0, 1);
    cycle(1, 0);
    rst = 1;
    cycle(1, 1);
    rst = 0;
    repeat (2) cycle(0, 1);
    repeat (5000) begin
      rst = random() % 256 == 0;
      cycle(random() % 3 != 0, random() % 3 != 0);
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
